// A client that forgets its connection when the backend refuses. Makes its methods hot, says "ready", begins when a line
// comes on stdin, says "done", ends with stdin. The truth goes to the file that is named first; --repaired closes.
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

public class ErrorPath {
  static final int WARM_UP = 60, REQUESTS = 20, REFUSE_EVERY = 4;
  static final List<Socket> kept = new ArrayList<>();
  static boolean repaired;

  static Socket dialBackend(int port) throws IOException {
    return new Socket(InetAddress.getLoopbackAddress(), port);
  }

  static boolean placeOrder(int port, boolean careful) throws IOException {
    Socket connection = dialBackend(port);
    boolean accepted = connection.getInputStream().read() == 'Y';
    if (accepted || careful) {
      connection.close();
    } else {
      kept.add(connection);  // the leak
    }
    return accepted || careful;
  }

  static int placeOrders(int port, int count, boolean careful) throws IOException {
    int leaked = 0;
    for (int i = 0; i < count; i++) {
      if (!placeOrder(port, careful)) leaked++;
    }
    return leaked;
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

  public static void main(String[] arguments) throws Exception {
    repaired = arguments.length > 1 && arguments[1].equals("--repaired");
    ServerSocket listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    Thread backend = new Thread(() -> serve(listener));
    backend.setDaemon(true);
    backend.start();
    placeOrders(listener.getLocalPort(), WARM_UP, true);
    System.out.println("ready");
    System.in.read();
    int leaked = placeOrders(listener.getLocalPort(), REQUESTS, repaired);
    Files.writeString(Path.of(arguments[0]), "{\"program\": \"ErrorPath.java\", \"created\": " + REQUESTS + ", \"leaked\": "
        + leaked + ", \"origin\": \"connect\", \"created_at\": {\"function\": \"ErrorPath.dialBackend\"}}\n");
    System.out.println("done");
    while (System.in.read() >= 0) {
    }
  }
}
