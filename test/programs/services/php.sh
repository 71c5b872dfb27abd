# needs: php
# seconds: 90
cat > t.php <<'X'
<?php
echo PHP_OS, " ", PHP_INT_SIZE, "\n"; file_put_contents('a', str_repeat('x', 100000)); echo filesize('a'), " ", md5_file('a'), "\n";
$p = proc_open(['sh', '-c', 'cat; echo err >&2; exit 3'], [['pipe','r'],['pipe','w'],['pipe','w']], $pipes); fwrite($pipes[0], "in\n"); fclose($pipes[0]); echo stream_get_contents($pipes[1]), stream_get_contents($pipes[2]), proc_close($p), "\n";
$s = stream_socket_server('tcp://127.0.0.1:0'); $c = stream_socket_client('tcp://' . stream_socket_get_name($s, false)); $a = stream_socket_accept($s); fwrite($c, "hello\n"); echo fgets($a);
$r = [$a]; $w = null; $e = null; echo stream_select($r, $w, $e, 0, 1000), "\n";
if (function_exists('pcntl_fork')) { $pid = pcntl_fork(); if (!$pid) exit(7); pcntl_waitpid($pid, $st); echo pcntl_wexitstatus($st), "\n"; }
$f = fopen('lock', 'w'); var_dump(flock($f, LOCK_EX | LOCK_NB)); echo count(scandir('/proc/self')) > 20, "\n";
$db = new SQLite3('x.db'); $db->exec('create table t(a)'); for ($i = 0; $i < 100; $i++) $db->exec("insert into t values($i)"); echo $db->querySingle('select sum(a) from t'), "\n";
usleep(1000); echo gethostbyname('localhost'), "\n"; echo strlen(random_bytes(10)), "\n"; var_dump(is_writable('/proc/version'), disk_free_space('/') > 0);
X
php t.php; mkdir www; echo '<?php echo $_SERVER["REQUEST_METHOD"], " ", $_GET["x"] ?? "", " ", file_get_contents("php://input"), "\n";' > www/i.php
PHP_CLI_SERVER_WORKERS=3 php -q -S 127.0.0.1:8092 -t www > srv.log 2>&1 & p=$!; for i in $(seq 100); do curl -s -o /dev/null http://127.0.0.1:8092/i.php && break; sleep 0.1; done
for i in 1 2 3; do curl -s "http://127.0.0.1:8092/i.php?x=$i"; done; curl -s -d body http://127.0.0.1:8092/i.php; ab -q -n 200 -c 5 http://127.0.0.1:8092/i.php | grep -E 'Complete|Failed'; kill $p; wait $p; echo $?
