<?php
// The corpus' PHP programs: workers that live long. What is shared with the other languages: see frame.h.
$scenario = $argv[1];
$option = ['seed' => 1, 'duration' => 30, 'shape' => 'steady', 'control' => false, 'truth' => null, 'ready-fd' => null];
for ($i = 2; $i < $argc; $i++) {
    $name = substr($argv[$i], 2);
    $option[$name] = $name === 'control' ? true : $argv[++$i];
}
mt_srand((int)$option['seed']);
function draw($low, $high) { return mt_rand($low, max($low, $high)); }
function one_in($n) { return draw(1, $n) === 1; }
$rate = draw(5, 20); $burst = draw(8, 25); $period = draw(20, 50) / 10;
$stop_after = $option['duration'] * draw(25, 50) / 100;
$truth = $option['truth'] ? fopen($option['truth'], 'w') : null;
$leaks = 0; $began = 0; $stopped = false; $ended = false; $done = 0; $kept = [];
function leaked($n) {
    global $leaks, $truth, $scenario, $option;
    $leaks += $n;
    if (!$truth) return;
    fseek($truth, 0);
    fwrite($truth, sprintf("{\"scenario\":\"%s\",\"shape\":\"%s\",\"leaked\":%8d}\n", $scenario, $option['shape'], $leaks));
    fflush($truth);
}
function elapsed() { global $began; return $began ? microtime(true) - $began : 0; }
function ending() { global $ended, $option; return $ended || elapsed() >= $option['duration'] + ($option['control'] ? 150 : 0); }
function listen_for_commands($seconds) {
    global $option, $ended, $began, $stopped;
    if (!$option['control']) { usleep((int)($seconds * 1e6)); return; }
    $in = [STDIN]; $out = $except = null;
    if (stream_select($in, $out, $except, 0, (int)($seconds * 1e6)) !== 1) return;
    $word = fgets(STDIN);
    if ($word === false) $ended = true;
    if ($word === "go\n" && !$began) $began = microtime(true);
    if ($word === "stop\n") $stopped = true;
}
function gap() {
    global $option, $done, $burst, $period, $rate;
    $jitter = draw(70, 130) / 100;
    if ($option['shape'] === 'bursty') return $done % $burst ? 0.02 : $period * $jitter;
    if ($option['shape'] === 'stepped') return $jitter * 2 / ($rate * (1 + min(3, (int)(4 * elapsed() / $option['duration']))));
    return $jitter / $rate;
}
function operations($operation) {
    global $option, $began, $stopped, $stop_after, $done;
    if ($option['ready-fd'] !== null) file_put_contents('php://fd/' . $option['ready-fd'], '0 ' . getmypid() . "\n");
    if (!$option['control']) $began = microtime(true);
    for ($due = 0; !ending();) {
        $quiet = !$began || $stopped || ($option['shape'] === 'stops' && elapsed() > $stop_after);
        if ($quiet || elapsed() < $due) { listen_for_commands($quiet ? 0.5 : min(0.5, $due - elapsed())); continue; }
        $done++;
        $due = max($due, elapsed() - 1) + gap();
        $operation();
    }
}
function ask($stream, $request = 'echo') { fwrite($stream, "$request\n"); return fgets($stream); }
$tcp = 'tcp://127.0.0.1:' . getenv('PEER_PORT');
$scenarios = [
    'stream_kept' => function () use ($tcp) { // leak: a static registry that only grows
        $n = draw(3, 8);
        operations(function () use ($tcp, $n) {
            global $kept;
            $stream = stream_socket_client($tcp); // OPENS stream_kept
            ask($stream);
            if (!one_in($n)) return; // closed by reference counting
            $kept[] = $stream;
            leaked(1);
        });
    },
    'unix_kept' => function () { // leak: a client of a local daemon, like those of a container engine
        operations(function () {
            global $kept;
            if (!one_in(4)) return;
            $kept[] = $stream = stream_socket_client('unix://' . getenv('PEER_UNIX')); // OPENS unix_kept
            ask($stream);
            leaked(1);
        });
    },
    'persistent' => function () use ($tcp) { // innocent: one persistent connection, short ones beside it
        operations(function () use ($tcp) {
            $one = stream_socket_client($tcp, $number, $text, 5, STREAM_CLIENT_CONNECT | STREAM_CLIENT_PERSISTENT); // OPENS persistent
            ask($one);
            if (one_in(3)) ask(stream_socket_client($tcp)); // OPENS persistent
        });
    },
];
leaked(0);
$scenarios[$scenario]();
