/* C: static functions, inlined and cloned (constant arguments become .constprop). */
#include "truth.h"

static volatile int sink;

static ALWAYS void try_once(int port) { RECORD("try_once", INLINED); sink = port; }

static NEVER void open_session(int port, const char* host) { CALL("open_session", REAL, try_once(port)); sink = host[0]; }

static ALWAYS void open_all(int n) { CALL("open_all", INLINED, open_session(n, "localhost")); }

NEVER void serve(int n) { CALL("serve", REAL, open_all(n)); }

int main(void) { CALL("main", REAL, serve(80)); return 0; }
