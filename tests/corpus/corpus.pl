# The corpus' Perl programs. What is shared with the other languages: see frame.h.
use strict;
use warnings;
use Getopt::Long;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Time::HiRes qw(sleep time);

my %option = (seed => 1, duration => 30, shape => 'steady');
my $scenario = shift @ARGV;
GetOptions(\%option, 'seed=i', 'duration=f', 'shape=s', 'truth=s', 'ready-fd=i', 'control') or exit 2;
srand $option{seed};
sub draw { my ($low, $high) = @_; return $low + int rand($high - $low + 1) }
sub one_in { return int(rand $_[0]) == 0 }
my ($rate, $burst, $period) = (draw(5, 20), draw(8, 25), 2 + rand 3);
my $stop_after = $option{duration} * (0.25 + rand 0.25);
my ($leaks, $began, $stopped, $ended, $done, @kept) = (0, 0, 0, 0, 0);
my $truth;
if ($option{truth}) { open $truth, '>', $option{truth} or die; $truth->autoflush(1) }

sub leaked {
    $leaks += $_[0];
    return unless $truth;
    seek $truth, 0, 0;
    printf $truth "{\"scenario\":\"%s\",\"shape\":\"%s\",\"leaked\":%8d}\n", $scenario, $option{shape}, $leaks;
}
sub elapsed { return $began ? time - $began : 0 }
sub ending { return $ended || elapsed() >= $option{duration} + ($option{control} ? 150 : 0) }
sub listen_for_commands {
    my ($seconds) = @_;
    return sleep $seconds unless $option{control};
    return unless IO::Select->new(\*STDIN)->can_read($seconds);
    my $got = sysread STDIN, my $word, 1;
    $ended = 1 unless $got;
    $began ||= time if $got && $word eq 'g';
    $stopped = 1 if $got && $word eq 's' && $began;
}
sub gap {
    my $jitter = 0.7 + rand 0.6;
    return $done % $burst ? 0.02 : $period * $jitter if $option{shape} eq 'bursty';
    if ($option{shape} eq 'stepped') {
        my $step = int(4 * elapsed() / $option{duration});
        return $jitter * 2 / ($rate * (1 + ($step > 3 ? 3 : $step)));
    }
    return $jitter / $rate;
}
sub operations {
    my ($operation) = @_;
    $SIG{TERM} = sub { $ended = 1 };
    if (defined $option{'ready-fd'}) {
        open my $ready, '>&=', $option{'ready-fd'} or die;
        print $ready "0 $$\n";
        close $ready;
    }
    $began = time unless $option{control};
    my $due = 0;
    while (!ending()) {
        my $quiet = !$began || $stopped || ($option{shape} eq 'stops' && elapsed() > $stop_after);
        if ($quiet || elapsed() < $due) { listen_for_commands($quiet || $due - elapsed() > 0.5 ? 0.5 : $due - elapsed()); next }
        $done++;
        $due = ($due < elapsed() - 1 ? elapsed() : $due) + gap();
        $operation->();
    }
}
sub ask { my ($socket, $request) = @_; print $socket "$request\n"; $socket->flush; return scalar <$socket> }
my @to = (PeerAddr => '127.0.0.1', PeerPort => $ENV{PEER_PORT});

my %scenarios = (
    udp_forgotten => sub {    # leak: a list of transactions that time out and are never dropped
        my $n = draw(2, 6);
        operations(sub {
            my $socket = IO::Socket::INET->new(@to, Proto => 'udp');    # OPENS udp_forgotten
            if (one_in($n)) { push @kept, $socket; leaked(1) }
            else { ask($socket, 'echo') }    # closed by the end of the scope
        });
    },
    cycle => sub {    # leak: a session that refers to itself
        my $n = draw(3, 10);
        operations(sub {
            my $session = { socket => IO::Socket::INET->new(@to) };    # OPENS cycle
            my $bad = one_in($n);
            ask($session->{socket}, $bad ? 'bye' : 'echo');
            if ($bad) { $session->{self} = $session; leaked(1) }
        });
    },
    tidy => sub {    # innocent
        my $log = IO::Socket::UNIX->new(Peer => $ENV{PEER_UNIX});
        operations(sub {
            ask($log, 'echo');
            my $socket = IO::Socket::INET->new(@to, PeerPort => one_in(4) ? $ENV{PEER_REFUSED} : $ENV{PEER_PORT});    # OPENS tidy
            ask($socket, 'echo') if $socket;
        });
    },
    cached => sub {    # innocent: a connection per backend name, kept
        my (%cache, $n);
        $n = draw(5, 20);
        operations(sub { ask($cache{draw(1, $n)} //= IO::Socket::INET->new(@to), 'echo') });    # OPENS cached
    },
);
leaked(0);
$scenarios{$scenario}->();
