// The corpus' Java programs: one method per scenario. What is shared with the other languages: see frame.h.
import java.io.IOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;

public class Corpus {
  static final List<Object> kept = Collections.synchronizedList(new ArrayList<>());
  static final int port = Integer.parseInt(System.getenv("PEER_PORT"));
  static final int refused = Integer.parseInt(System.getenv("PEER_REFUSED"));
  static String name, shape = "steady";
  static double duration = 30, period, stopAfter;
  static boolean control;
  static int readyFd = -1, rate, burst, done, leaks;
  static volatile boolean stopped;
  static volatile long began;
  static Random random;
  static RandomAccessFile truth;

  static int draw(int low, int high) { return low + random.nextInt(Math.max(1, high - low + 1)); }
  static boolean oneIn(int n) { return random.nextInt(n) == 0; }

  static synchronized void leaked(int sockets) {
    leaks += sockets;
    try {
      if (truth == null) return;
      truth.seek(0);
      truth.write(String.format("{\"scenario\":\"%s\",\"shape\":\"%s\",\"leaked\":%8d}\n", name, shape, leaks).getBytes());
    } catch (IOException error) { throw new IllegalStateException(error); }
  }

  static double elapsed() { return began == 0 ? 0 : (System.nanoTime() - began) / 1e9; }
  static int level() { return shape.equals("stepped") ? 1 + Math.min(3, (int) (4 * elapsed() / duration)) : 2; }
  static boolean ending() { return elapsed() >= duration + (control ? 150 : 0); }

  static void pause(double seconds) {
    try { Thread.sleep((long) (seconds * 1000)); } catch (InterruptedException error) { Thread.currentThread().interrupt(); }
  }

  static void background(Runnable work) {
    Thread thread = new Thread(null, work, "worker", 256 << 10);
    thread.setDaemon(true);
    thread.start();
  }

  static void ready(int own) throws IOException {
    if (readyFd >= 0) Files.writeString(Path.of("/proc/self/fd/" + readyFd), own + " " + ProcessHandle.current().pid() + "\n");
    if (!control) { began = System.nanoTime(); return; }
    background(() -> {
      try {
        for (int c; (c = System.in.read()) >= 0;) {
          if (c == 'g' && began == 0) began = System.nanoTime();
          if (c == 's') stopped = true;
        }
      } catch (IOException error) { System.err.println(error); }
      System.exit(0);
    });
  }

  static double gap() {
    double jitter = 0.7 + 0.6 * random.nextDouble();
    if (shape.equals("bursty")) return done % burst != 0 ? 0.02 : period * jitter;
    if (shape.equals("stepped")) return jitter * 2 / (rate * level());
    return jitter / rate;
  }

  interface Operation { void run() throws Exception; }

  static void operations(Operation operation) throws Exception {
    ready(0);
    while (!ending()) {
      if (began == 0 || stopped || (shape.equals("stops") && elapsed() > stopAfter)) { pause(0.1); continue; }
      done++;
      operation.run();
      pause(gap());
    }
    System.exit(0);
  }

  static void ask(Socket socket, String request) throws IOException {
    socket.getOutputStream().write((request + "\n").getBytes());
    socket.getInputStream().read(new byte[100]);
  }

  static HttpRequest request(String path) { return HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path)).build(); }

  // --- leaks ---
  static Socket visit(boolean bad) throws IOException {
    Socket socket = new Socket();
    kept.add(socket);
    socket.connect(new InetSocketAddress("127.0.0.1", port)); // OPENS socket_forgotten
    ask(socket, bad ? "bye" : "echo");
    return socket;
  }

  static void socketForgotten() throws Exception {
    int n = draw(3, 10);
    operations(() -> {
      boolean bad = oneIn(n);
      Socket socket = visit(bad);
      if (bad) leaked(1);
      else { socket.close(); kept.remove(socket); }
    });
  }

  static void clientPerCall() throws Exception {
    operations(() -> {
      if (!oneIn(6)) return;
      HttpClient client = HttpClient.newHttpClient();
      kept.add(client);
      client.send(request("/ok"), BodyHandlers.ofString());
      leaked(1);
    });
  }

  static void answerNeverRead() throws Exception {
    int n = draw(3, 8);
    operations(() -> {
      boolean bad = oneIn(n);
      HttpURLConnection one = (HttpURLConnection) new URL("http://127.0.0.1:" + port + (bad ? "/big/50000" : "/ok")).openConnection();
      one.getResponseCode(); // OPENS answer_never_read
      if (bad) { kept.add(one); leaked(1); }
      else one.getInputStream().readAllBytes();
    });
  }

  static void serve(boolean forgets) throws Exception {
    ServerSocket server = new ServerSocket(0, 100, java.net.InetAddress.getLoopbackAddress());
    ready(server.getLocalPort());
    while (true) {
      Socket socket = server.accept(); // OPENS accept_thread chat
      background(() -> {
        try {
          byte[] line = new byte[100];
          for (int got; (got = socket.getInputStream().read(line)) > 0;) {
            socket.getOutputStream().write("ok\n".getBytes());
            if (forgets && new String(line, 0, got).equals("bad\n")) { kept.add(socket); leaked(1); return; }
          }
          socket.close();
        } catch (IOException error) { System.err.println(error); }
      });
    }
  }

  static void nioServer() throws Exception {
    Selector selector = Selector.open();
    ServerSocketChannel server = ServerSocketChannel.open().bind(new InetSocketAddress("127.0.0.1", 0));
    server.configureBlocking(false).register(selector, SelectionKey.OP_ACCEPT);
    ready(((InetSocketAddress) server.getLocalAddress()).getPort());
    ByteBuffer buffer = ByteBuffer.allocate(100);
    while (true) {
      selector.select();
      for (SelectionKey key : selector.selectedKeys()) {
        if (key.isAcceptable()) {
          SocketChannel peer = server.accept(); // OPENS nio_server
          peer.configureBlocking(false);
          peer.register(selector, SelectionKey.OP_READ);
          continue;
        }
        SocketChannel peer = (SocketChannel) key.channel();
        buffer.clear();
        int got = peer.read(buffer);
        if (got <= 0) { peer.close(); continue; }
        peer.write(ByteBuffer.wrap("ok\n".getBytes()));
        if (new String(buffer.array(), 0, got).equals("bad\n")) { key.cancel(); kept.add(peer); leaked(1); }
      }
      selector.selectedKeys().clear();
    }
  }

  static void udpForgotten() throws Exception {
    int n = draw(2, 6);
    operations(() -> {
      java.net.DatagramSocket one = new java.net.DatagramSocket(); // OPENS udp_forgotten
      one.connect(new InetSocketAddress("127.0.0.1", port));
      if (oneIn(n)) { kept.add(one); leaked(1); }
      else one.close();
    });
  }

  // --- innocent ---
  /** Worker threads with a connection in a thread-local each, which live on. */
  static void perThread() throws Exception {
    int[] left = {draw(8, 25)};
    operations(() -> {
      if (left[0] == 0 || !oneIn(5)) return;
      left[0]--;
      double between = draw(5, 30) / 10.0;
      background(() -> {
        try {
          Socket mine = new Socket("127.0.0.1", port); // OPENS per_thread
          while (!ending()) { ask(mine, "echo"); pause(between); }
        } catch (IOException error) { System.err.println(error); }
      });
    });
  }

  static void httpClientPool() throws Exception {
    HttpClient client = HttpClient.newHttpClient();
    int most = draw(3, 8);
    operations(() -> {
      if (oneIn(4))
        for (int i = draw(1, most * level() / 2); i > 0; i--)
          client.sendAsync(request("/slow/" + draw(60, 160)), BodyHandlers.ofString());
    });
  }

  static void handMadePool() throws Exception {
    List<Socket> idle = Collections.synchronizedList(new ArrayList<>());
    int most = draw(3, 8);
    operations(() -> {
      if (!oneIn(4)) return;
      for (int i = draw(1, most * level() / 2); i > 0; i--)
        background(() -> {
          try {
            Socket one;
            synchronized (idle) { one = idle.isEmpty() ? null : idle.remove(idle.size() - 1); }
            if (one == null) one = new Socket("127.0.0.1", port); // OPENS hand_made_pool
            ask(one, "slow 80");
            idle.add(one);
          } catch (IOException error) { System.err.println(error); }
        });
    });
  }

  static void tidyClient() throws Exception {
    operations(() -> {
      try (Socket socket = new Socket("127.0.0.1", oneIn(4) ? refused : port)) { // OPENS tidy_client
        ask(socket, "echo");
      } catch (java.net.ConnectException error) { pause(0.05); }
    });
  }

  public static void main(String[] words) throws Exception {
    name = words[0];
    long seed = 1;
    for (int i = 1; i < words.length; i++)
      switch (words[i]) {
        case "--control": control = true; break;
        case "--seed": seed = Long.parseLong(words[++i]); break;
        case "--duration": duration = Double.parseDouble(words[++i]); break;
        case "--shape": shape = words[++i]; break;
        case "--ready-fd": readyFd = Integer.parseInt(words[++i]); break;
        case "--truth": truth = new RandomAccessFile(words[++i], "rw"); break;
        default: throw new IllegalArgumentException(words[i]);
      }
    random = new Random(seed);
    rate = draw(5, 20);
    burst = draw(8, 25);
    period = 2 + 3 * random.nextDouble();
    stopAfter = duration * (0.25 + 0.25 * random.nextDouble());
    leaked(0);
    Map<String, Operation> scenarios = new java.util.HashMap<>(Map.of("socket_forgotten", Corpus::socketForgotten, "client_per_call", Corpus::clientPerCall,
        "answer_never_read", Corpus::answerNeverRead, "accept_thread", () -> serve(true), "chat", () -> serve(false),
        "nio_server", Corpus::nioServer, "http_client_pool", Corpus::httpClientPool, "hand_made_pool", Corpus::handMadePool,
        "tidy_client", Corpus::tidyClient));
    scenarios.put("udp_forgotten", Corpus::udpForgotten);
    scenarios.put("per_thread", Corpus::perThread);
    scenarios.get(name).run();
  }
}
