# needs: ruby
# seconds: 60
cat > t.rb <<'X'
require 'socket'; require 'open3'; require 'tempfile'; require 'digest'; require 'timeout'; require 'pty'; require 'io/console'; require 'etc'; require 'net/http'; require 'fileutils'
q = Queue.new; 10.times.map { |i| Thread.new { q << i } }.each(&:join); p q.size
r, w = IO.pipe; pid = fork { r.close; w.puts 'child'; exit! 4 }; w.close; p r.read; Process.wait pid; p $?.exitstatus
o, e, s = Open3.capture3('cat; echo err >&2; exit 2', stdin_data: 'x' * 100000); p o.size, e, s.exitstatus
srv = TCPServer.new('127.0.0.1', 0); t = Thread.new { c = srv.accept; c.write c.gets.upcase; c.close }; c = TCPSocket.new('127.0.0.1', srv.addr[1]); c.puts 'hello'; p c.read; t.join
a, b = UNIXSocket.pair; f = File.open('f', 'w+'); f.write 'passed'; f.flush; a.send_io f; g = b.recv_io; g.rewind; p g.read
Signal.trap('USR1') { puts 'usr1' }; Process.kill 'USR1', $$; sleep 0.05
begin; Timeout.timeout(0.1) { sleep 5 }; rescue Timeout::Error; puts 'timeout'; end
PTY.spawn('sh', '-c', 'stty size; echo $((1+1))') { |i, o2, pd| begin; i.winsize = [10, 20]; rescue; end; out = +''; begin; loop { out << i.readpartial(100) }; rescue Errno::EIO; end; p out.lines.last }
p IO.select([r], nil, nil, 0.01).class rescue p $!.class
p Process.clock_gettime(Process::CLOCK_MONOTONIC) > 0, Process.getrlimit(:NOFILE).size, Etc.getpwuid(0).name, Dir.children('/proc/self/fd').size > 3
f = File.open('l', 'w'); p f.flock(File::LOCK_EX | File::LOCK_NB); p Process.spawn('exit 6').then { |x| Process.wait(x); $?.exitstatus }
p Digest::MD5.hexdigest(File.binread('/usr/bin/env')) == `md5sum /usr/bin/env`.split[0]; Process.daemon(true, true) if false; p 20.times.map { |i| Thread.new { `echo #{i}`.to_i } }.sum(&:value); p Ractor.new { 1 + 2 }.take rescue p $!
X
ruby -W0 t.rb
