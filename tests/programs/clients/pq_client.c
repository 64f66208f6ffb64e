// Asks a PostgreSQL server through libpq, and forgets the connection when the query fails. --pool: keeps one connection
// for all queries instead, which idles until the end.
//   pq_client --port PORT
#include "client.h"

#include <err.h>
#include <libpq-fe.h>
#include <stdio.h>

enum { kQueries = 12, kFailEvery = 4 };

static struct options options;
static struct place opened, closed;

__attribute__((noinline)) static PGconn* open_database(void) {
  char where[128];
  snprintf(where, sizeof where, "host=127.0.0.1 port=%s user=tester dbname=postgres sslmode=disable gssencmode=disable",
           options.port == NULL ? "" : options.port);
  PGconn* connection = AT(opened, PQconnectdb(where));
  if (PQstatus(connection) != CONNECTION_OK) errx(70, "%s", PQerrorMessage(connection));
  return connection;
}

__attribute__((noinline)) static void close_database(PGconn* connection) {
  AT(closed, PQfinish(connection));
  __asm__ volatile("" : : : "memory");  // not a jump
}

static bool ask(PGconn* connection, bool fails) {
  PGresult* result = PQexec(connection, fails ? "SELECT 1/0" : "SELECT 1");
  const bool answered = PQresultStatus(result) == PGRES_TUPLES_OK;
  PQclear(result);
  return answered;
}

__attribute__((noinline)) static bool query(int number) {
  PGconn* connection = open_database();
  const bool answered = ask(connection, number % kFailEvery == 0);
  if (answered || options.repaired) close_database(connection);  // else the leak
  return answered;
}

int main(int argc, char** argv) {
  options = begin(argc, argv);
  int failed = 0;
  if (options.pool) {
    PGconn* connection = open_database();
    for (int i = 0; i < kQueries; ++i) failed += !ask(connection, false);
    const int status = finish(&options, "pq_client", failed, &opened, &closed);
    close_database(connection);
    return status;
  }
  for (int i = 0; i < kQueries; ++i) failed += !query(i);
  return finish(&options, "pq_client", failed, &opened, &closed);
}
