import java.nio.channels.SocketChannel;

/** socket() + close(), args[0] times, args[1] frames below main: what bench_runtimes.py runs. */
public final class Loop {
  static int deeper(int depth, int count) throws Exception {
    if (depth > 0) return deeper(depth - 1, count) + 1;
    for (int i = 0; i < count; ++i) SocketChannel.open().close();
    return 0;
  }

  public static void main(String[] args) throws Exception {
    System.out.println("ready");
    while (System.in.read() > 0) {
      final long begin = System.nanoTime();
      deeper(Integer.parseInt(args[1]), Integer.parseInt(args[0]));
      System.out.println((System.nanoTime() - begin) / Double.parseDouble(args[0]));
    }
  }
}
