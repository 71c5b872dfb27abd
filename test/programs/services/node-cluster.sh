# needs: node
# seconds: 60
cat > t.mjs <<'X'
import http from 'node:http'; import cluster from 'node:cluster'; import net from 'node:net'; import { Worker, isMainThread, parentPort } from 'node:worker_threads'; import { fileURLToPath } from 'node:url'; import fs from 'node:fs'; import dns from 'node:dns/promises'; import os from 'node:os'; import { pipeline } from 'node:stream/promises'; import zlib from 'node:zlib'; import dgram from 'node:dgram'; import cp from 'node:child_process';
if (cluster.isPrimary) {
  cluster.setupPrimary({ exec: fileURLToPath(import.meta.url) });
  const ws = [cluster.fork({ PORT: 8123 }), cluster.fork({ PORT: 8123 })]; let n = 0;
  await new Promise((r) => cluster.on('listening', () => { if (++n === 2) r(); }));
  const pids = new Set(); let sum = 0;
  for (let i = 0; i < 60; i++) { const res = await fetch('http://127.0.0.1:8123/x' + i); const b = await res.json(); pids.add(b.pid); sum += b.len; }
  console.log(pids.size, sum);
  const r2 = await Promise.all(Array.from({ length: 50 }, async (_, i) => (await (await fetch('http://127.0.0.1:8123/p', { method: 'POST', body: 'x'.repeat(i * 1000) })).json()).len));
  console.log(r2.reduce((a, b) => a + b));
  ws[0].process.kill('SIGKILL'); await new Promise((r) => cluster.once('exit', (w, c, s) => { console.log('exit', c, s); r(); }));
  console.log((await (await fetch('http://127.0.0.1:8123/a')).json()).len);
  ws[1].disconnect(); await new Promise((r) => ws[1].once('exit', (c) => { console.log('exit', c); r(); }));
  const u = net.createServer((s) => s.pipe(s)).listen('/tmp/w/sock'); await new Promise((r) => u.once('listening', r));
  const c = net.connect('/tmp/w/sock'); let got = 0; c.on('data', (d) => { got += d.length; if (got === 1e6) c.end(); }); c.write(Buffer.alloc(1e6)); await new Promise((r) => c.on('close', r)); console.log(got); u.close();
  await pipeline(fs.createReadStream('/usr/bin/perl'), zlib.createGzip(), fs.createWriteStream('p.gz')); await pipeline(fs.createReadStream('p.gz'), zlib.createGunzip(), fs.createWriteStream('p')); console.log(fs.readFileSync('p').equals(fs.readFileSync('/usr/bin/perl')));
  const d = dgram.createSocket('udp4'); await new Promise((r) => d.bind(0, '127.0.0.1', r)); d.send('hi', d.address().port, '127.0.0.1'); console.log((await new Promise((r) => d.once('message', (m) => r(m.toString()))))); d.close();
  console.log((await dns.lookup('localhost')).address.length > 0, os.cpus().length > 0, os.networkInterfaces().lo[0].address);
  const sab = new SharedArrayBuffer(8), ia = new Int32Array(sab); const w = new Worker('const {workerData:d,parentPort:p}=require("worker_threads");const a=new Int32Array(d);for(let i=0;i<1000;i++)Atomics.add(a,0,1);Atomics.notify(a,0);p.postMessage("x")', { eval: true, workerData: sab }); await new Promise((r) => w.on('exit', r)); console.log(ia[0]);
  const k = cp.fork('-e', { execArgv: [] , execPath: process.execPath, stdio: 'ignore'}).on('error', () => {}); await new Promise((r) => k.on('exit', r));
  const ch = cp.spawn('sleep', ['100']); ch.kill('SIGTERM'); console.log(await new Promise((r) => ch.on('exit', (c, s) => r(s))));
  for await (const e of fs.promises.watch('.', { signal: AbortSignal.timeout(20000) })) { console.log(e.filename); break; }
} else { http.createServer((q, a) => { let len = q.url.length; if (q.method === 'POST') { len = 0; q.on('data', (d) => (len += d.length)); } q.on('end', () => a.end(JSON.stringify({ pid: process.pid, len }))); q.resume(); }).listen(8123, '127.0.0.1'); process.on('disconnect', () => process.exit(0)); }
X
(while [ ! -e done ]; do touch watched; sleep 0.2; done) & node t.mjs; echo $?; touch done; wait
