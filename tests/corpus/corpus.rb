# The corpus' Ruby programs. What is shared with the other languages: see frame.h.
require 'net/http'
require 'socket'

PORT = ENV['PEER_PORT'].to_i
$options = { 'seed' => '1', 'duration' => '30', 'shape' => 'steady' }
words = ARGV.drop(1)
until words.empty?
  word = words.shift.delete_prefix('--')
  $options[word] = word == 'control' ? 'yes' : words.shift
end
$random = Random.new($options['seed'].to_i)
def draw(low, high) = $random.rand(low..[low, high].max)
def one_in(count) = $random.rand(count).zero?
RATE, BURST, PERIOD = draw(5, 20), draw(8, 25), 2 + 3 * $random.rand
DURATION, SHAPE = $options['duration'].to_f, $options['shape']
STOP_AFTER = DURATION * (0.25 + 0.25 * $random.rand)
$truth = $options['truth'] && File.open($options['truth'], 'w')
$leaks, $kept, $stopped, $ended, $began, $done = 0, [], false, false, nil, 0

def leaked(sockets = 1)
  $leaks += sockets
  $truth&.pwrite(format("{\"scenario\":\"%s\",\"shape\":\"%s\",\"leaked\":%8d}\n", ARGV[0], SHAPE, $leaks), 0)
end

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
def elapsed = $began ? now - $began : 0
def ending? = $ended || elapsed >= DURATION + ($options['control'] ? 150 : 0)
def level = SHAPE == 'stepped' ? 1 + [3, (4 * elapsed / DURATION).to_i].min : 2

def ready(port = 0)
  trap('TERM') { exit!(0) }
  IO.open($options['ready-fd'].to_i, 'w') { |fd| fd.puts("#{port} #{Process.pid}") } if $options['ready-fd']
  return $began = now unless $options['control']

  Thread.new do
    while (word = $stdin.gets)
      $began ||= now if word == "go\n"
      $stopped = true if word == "stop\n"
    end
    $ended = true
  end
end

def gap
  jitter = 0.7 + 0.6 * $random.rand
  return ($done % BURST).zero? ? PERIOD * jitter : 0.02 if SHAPE == 'bursty'

  SHAPE == 'stepped' ? jitter * 2 / (RATE * level) : jitter / RATE
end

def operations
  ready
  until ending?
    next sleep(0.1) if $began.nil? || $stopped || (SHAPE == 'stops' && elapsed > STOP_AFTER) # the load's own pause

    $done += 1
    yield
    sleep(gap)
  end
end

def ask(socket, request = 'echo')
  socket.puts(request)
  socket.gets
end

leaked(0)
case ARGV[0]
when 'socket_forgotten' # leak
  count = draw(3, 10)
  operations do
    socket = TCPSocket.new('127.0.0.1', PORT) # OPENS socket_forgotten
    bad = one_in(count)
    ask(socket, bad ? 'bye' : 'echo')
    if bad
      $kept << socket
      leaked
    else
      socket.close
    end
  end
when 'http_per_call' # leak: started and never finished
  operations do
    next unless one_in(3)

    $kept << Net::HTTP.start('127.0.0.1', PORT) # OPENS http_per_call
    $kept.last.get('/ok')
    leaked
  end
when 'http_persistent' # innocent: one per thread, for all requests
  idle = Queue.new
  operations do
    next unless one_in(4)

    draw(1, draw(3, 8) * level / 2).times do
      Thread.new do
        http = idle.empty? ? Net::HTTP.start('127.0.0.1', PORT) : idle.pop # OPENS http_persistent
        http.get("/slow/#{60 + Random.rand(100)}")
        idle << http
      end
    end
  end
when 'tidy' # innocent
  operations { TCPSocket.open('127.0.0.1', PORT) { |socket| ask(socket) } } # OPENS tidy
end
