# needs: chromium
# seconds: 180
mkdir www; echo '<html><body style="background:#0a0;margin:0"><h1 id=t>x</h1><script>document.getElementById("t").textContent = "n" + (6*7)</script></body></html>' > www/i.html; python3 -m http.server -b 127.0.0.1 -d www 8097 > /dev/null 2>&1 & p=$!; for i in $(seq 100); do curl -s -o /dev/null http://127.0.0.1:8097/ && break; sleep 0.1; done
timeout 120 chromium --headless --no-sandbox --disable-gpu --user-data-dir=$PWD/u --dump-dom http://127.0.0.1:8097/i.html 2> err1; echo $?
timeout 120 chromium --headless --no-sandbox --disable-gpu --user-data-dir=$PWD/u --window-size=200,100 --screenshot=$PWD/s.png http://127.0.0.1:8097/i.html > /dev/null 2> err2; echo $?; file s.png 2>/dev/null || head -c 8 s.png | od -c | head -1; python3 -c "
import zlib, struct
d = open('s.png','rb').read(); w, h = struct.unpack('>II', d[16:24]); print(w, h)"
kill $p
