// A client that forgets its connection when the backend refuses: new Socket() and HttpURLConnection. Says "ready", begins
// when a line comes on stdin, says "done", ends with stdin, so that its code can be read while it lives.
//   java ErrorPath TRUTH [--repaired] [--warm-up REQUESTS] [--case socket|http] [--pool] [--virtual] [--ends]
// --warm-up makes its methods hot first; --pool leaves an idle connection in the HTTP client's pool; --virtual asks from a
// virtual thread (JDK 21 and later); --ends does not wait.
// The truth goes to the file that is named first.
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

public class ErrorPath {
  static final int REQUESTS = 20, REFUSE_EVERY = 4;
  static final List<Object> kept = new ArrayList<>();
  static final Map<String, StackTraceElement> places = new LinkedHashMap<>();

  /** Notes the line it is called from, which is that of the call before it. */
  static void at(String place) {
    if (!places.containsKey(place)) places.put(place, Thread.currentThread().getStackTrace()[2]);
  }

  static Socket dialBackend(int port) throws IOException {
    Socket connection = new Socket(InetAddress.getLoopbackAddress(), port); at("created_at");
    return connection;
  }

  static boolean placeOrder(int port, boolean careful) throws IOException {
    Socket connection = dialBackend(port);
    boolean accepted = connection.getInputStream().read() == 'Y'; at("touched_at");
    if (accepted || careful) {
      connection.close(); at("closed_at");
    } else {
      kept.add(connection);  // the leak
    }
    return accepted || careful;
  }

  /** An answer nobody reads keeps its connection. */
  static boolean fetchOrder(int port, boolean careful) throws IOException {
    HttpURLConnection connection = (HttpURLConnection) new URL("http://127.0.0.1:" + port + "/order").openConnection();
    int status = connection.getResponseCode(); at("created_at");
    if (careful) {
      drain(connection.getInputStream());
      connection.disconnect();
      return true;
    }
    if (status == 200) {
      kept.add(connection);  // the leak
    }
    return false;
  }

  static void drain(InputStream body) throws IOException {
    try (body) {
      while (body.read() >= 0) {
      }
    }
  }

  /** The answer is read: the connection idles in the pool of the HTTP client. */
  static void fetchAndKeepAlive(int port) throws IOException {
    drain(new URL("http://127.0.0.1:" + port + "/order").openConnection().getInputStream());
  }

  static int placeOrders(int port, int count, boolean http, boolean careful) throws IOException {
    int leaked = 0;
    for (int i = 0; i < count; i++) {
      if (!(http ? fetchOrder(port, careful) : placeOrder(port, careful))) leaked++;
    }
    return leaked;
  }

  /** The same in a virtual thread. By reflection: the compiler may be older than the machine that runs this. */
  static int placeOrdersVirtually(int port, boolean careful) throws Exception {
    int[] leaked = new int[1];
    Runnable work = () -> {
      try {
        leaked[0] = placeOrders(port, REQUESTS, false, careful);
      } catch (IOException failure) {
        throw new RuntimeException(failure);
      }
    };
    ((Thread) Thread.class.getMethod("startVirtualThread", Runnable.class).invoke(null, work)).join();
    return leaked[0];
  }

  static void serve(ServerSocket listener) {
    try {
      for (int i = 0;; i++) {
        try (Socket client = listener.accept()) {
          client.getOutputStream().write(i % REFUSE_EVERY == 0 ? 'N' : 'Y');
        }
      }
    } catch (IOException end) {
      return;
    }
  }

  /** Answers one request a connection and keeps its end of the connection open. */
  static void serveHttp(ServerSocket listener, List<Socket> clients) {
    byte[] answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\norder".getBytes(StandardCharsets.US_ASCII);
    try {
      for (;;) {
        Socket client = listener.accept();
        clients.add(client);
        byte[] request = new byte[4096];
        int length = 0;
        while (!new String(request, 0, length, StandardCharsets.US_ASCII).contains("\r\n\r\n")) {
          length += client.getInputStream().read(request, length, request.length - length);
        }
        client.getOutputStream().write(answer);
      }
    } catch (IOException end) {
      return;
    }
  }

  static String places() {
    StringBuilder text = new StringBuilder();
    places.forEach((name, place) -> text.append(", \"" + name + "\": {\"function\": \"" + place.getClassName() + "."
        + place.getMethodName() + "\", \"file\": \"" + place.getFileName() + "\", \"line\": " + place.getLineNumber() + "}"));
    return text.toString();
  }

  public static void main(String[] arguments) throws Exception {
    List<String> options = Arrays.asList(arguments);
    boolean http = options.contains("http"), repaired = options.contains("--repaired"), pool = options.contains("--pool");
    int warmUp = options.contains("--warm-up") ? Integer.parseInt(options.get(options.indexOf("--warm-up") + 1)) : 0;
    ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    List<Socket> clients = new ArrayList<>();
    Thread backend = new Thread(() -> {
      if (http) serveHttp(listener, clients);
      else serve(listener);
    });
    backend.setDaemon(true);
    backend.start();
    placeOrders(listener.getLocalPort(), warmUp, http, true);
    places.clear();
    if (!options.contains("--ends")) {
      System.out.println("ready");
      System.in.read();
    }
    int leaked = 0;
    if (pool) fetchAndKeepAlive(listener.getLocalPort());
    else if (options.contains("--virtual")) leaked = placeOrdersVirtually(listener.getLocalPort(), repaired);
    else leaked = placeOrders(listener.getLocalPort(), REQUESTS, http, repaired);
    Files.writeString(Path.of(arguments[0]), "{\"program\": \"ErrorPath.java\", \"created\": " + (pool ? 1 : REQUESTS)
        + ", \"leaked\": " + leaked + ", \"origin\": \"connect\"" + places() + "}\n");
    if (options.contains("--ends")) return;
    for (Socket client : clients) client.close();  // the peer of what was forgotten has ended
    System.out.println("done");
    while (System.in.read() >= 0) {
    }
  }
}
