#!/usr/bin/env node
// Builds dist/: the executable runsc-ts, the bundles of sentry and gofer, and the native parts, side by side.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { build } from 'esbuild';

const root = import.meta.dirname;
const dist = `${root}/dist`;
const native = `${root}/platform-ptrace/native`;
const require = createRequire(import.meta.url);
mkdirSync(dist, { recursive: true });

/** Compiles next to the target and renames, so that a running sandbox keeps its old binary. */
function cc(output, sources, flags) {
  const tmp = `${dist}/.${output}.tmp`;
  execFileSync(
    'cc',
    ['-O2', '-Wall', '-Wextra', '-Werror', '-o', tmp, ...sources.map((s) => `${native}/${s}`), ...flags],
    {
      stdio: 'inherit',
    },
  );
  renameSync(tmp, `${dist}/${output}`);
}

/** A module of the sources, for use here. */
async function load(path) {
  const { outputFiles } = await build({
    entryPoints: [`${root}/${path}`],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].text).toString('base64')}`);
}

/** Copies a file so: in place, it would change under the processes that have it mapped. */
function install(source, name) {
  copyFileSync(source, `${dist}/.${name}.tmp`);
  renameSync(`${dist}/.${name}.tmp`, `${dist}/${name}`);
}

// Headers that the native parts share with TypeScript.
const headers = await load('platform-ptrace/seccomp/native-headers.ts');
writeFileSync(`${dist}/stub-layout.h`, headers.layoutHeader());
writeFileSync(`${dist}/guest-filter.h`, headers.filterHeader());

/** `part`.c and its further files. */
const sourcesOf = (part) =>
  readdirSync(native).filter((name) => /^(\w+)(-[\w-]+)?\.c$/.exec(name)?.[1] === part);

cc('shim.so', sourcesOf('shim'), ['-shared', '-fPIC', `-I${dist}`]);
cc('zygote-run', ['zygote-run.c'], ['-static', `-I${dist}`]);
cc('launcher', sourcesOf('launcher'), ['-static', `-I${dist}`]);
const freestanding = ['-static', '-nostdlib', '-ffreestanding', '-Wl,--build-id=none', '-Wl,-z,noexecstack'];
cc('stub', sourcesOf('stub'), [
  ...freestanding,
  `-I${dist}`,
  '-fno-stack-protector',
  '-fcf-protection=none',
  '-fpie',
  '-no-pie',
  '-mgeneral-regs-only',
  '-fno-asynchronous-unwind-tables',
  `-Wl,-T,${native}/stub.ld`,
]);

const koffiDir = dirname(require.resolve('@koromix/koffi-linux-x64/package.json'));
const isMusl = !process.report.getReport().header.glibcVersionRuntime;
install(`${koffiDir}/${isMusl ? 'musl_x64' : 'linux_x64'}/koffi.node`, 'koffi.node');

/** What `--version` names. */
function commit() {
  const git = spawnSync('git', ['describe', '--always', '--dirty', '--abbrev=12'], {
    cwd: root,
    encoding: 'utf8',
  });
  return git.status === 0 ? git.stdout.trim() : 'unknown';
}

const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  absWorkingDir: root,
  define: { 'import.meta.url': '__bundle_url', __commit: JSON.stringify(commit()) },
  banner: { js: "const __bundle_url = require('node:url').pathToFileURL(__filename).href;" },
  logLevel: 'warning',
};
/**
 * Runs NAME.js beside itself, which holds a function, with V8's code cache NAME.cache: at start most of the time is
 * compilation. A cache that this version of Node does not accept is ignored.
 */
function loader(name, more = '') {
  return `'use strict';
const { readFileSync } = require('node:fs');
const { Script } = require('node:vm');
const filename = __dirname + '/${name}.js';
let cachedData;
try {
  cachedData = readFileSync(__dirname + '/${name}.cache');
} catch {
  // Compiled without.
}
const script = new Script(readFileSync(filename, 'latin1'), { filename, cachedData });
${more}script.runInThisContext()(exports, require, module, filename, __dirname);
`;
}

/** A loader that gives away what V8 has compiled, at exit or after some time, and ends the process. */
function trainingLoader(name, fd, afterMs, before = '') {
  return loader(
    name,
    `${before}const save = () => {
  const data = script.createCachedData();
  for (let at = 0; at < data.length; ) at += require('node:fs').writeSync(${fd}, data, at);
};
if (${afterMs} === 0) process.on('exit', save);
else setTimeout(() => (save(), process.exit(0)), ${afterMs});
`,
  );
}

function writeProgram(name, text) {
  writeFileSync(`${dist}/.${name}.tmp`, text);
  chmodSync(`${dist}/.${name}.tmp`, 0o755);
  renameSync(`${dist}/.${name}.tmp`, `${dist}/${name}`);
}

/** Keeps `run(fd)`'s output as NAME.cache, if there is any. */
function keepCache(name, run) {
  const tmp = `${dist}/.${name}.cache`;
  const fd = openSync(tmp, 'w');
  run(fd);
  closeSync(fd);
  if (statSync(tmp).size > 0) renameSync(tmp, `${dist}/${name}.cache`);
  else rmSync(tmp);
}

/** Above the descriptors that sentry and gofer expect: what they find there is empty, so they load and end. */
const TRAINING_FD = 15;

/**
 * The functions that a program calls while it loads and does what `args` say, compiled under the flags it will have. The gofer
 * is small and gets all of its functions: `eager`.
 */
function writeCodeCache(name, v8Args, args, eager = false) {
  const program = `${dist}/.${name}-training.cjs`;
  const flag = (text) => (eager ? `require('node:v8').setFlagsFromString('${text}');\n` : '');
  writeFileSync(program, flag('--no-lazy') + trainingLoader(name, TRAINING_FD, 0, flag('--lazy')));
  keepCache(name, (fd) =>
    spawnSync(process.execPath, [...v8Args, program, ...args], {
      stdio: [...Array(TRAINING_FD).fill('ignore'), fd],
      timeout: 20_000,
    }),
  );
  rmSync(program);
}

/** Those that a container's life needs. Each run starts with what the one before has compiled. */
async function trainCli() {
  const { cliTraining } = await load('oci-shim/training.ts');
  const dir = mkdtempSync(`${tmpdir()}/runsc-ts-build-`);
  for (const [bundle, config] of Object.entries(cliTraining.bundles)) {
    mkdirSync(`${dir}/${bundle}`);
    writeFileSync(`${dir}/${bundle}/config.json`, config);
  }
  for (const args of cliTraining.commands(dir)) writeCodeCache('cli', [], args);
  rmSync(dir, { recursive: true });
}

/** Those that a sandbox needs besides: of one that has run. Where none can run, the cache stays as it is. */
async function trainSentry() {
  const { training } = await load('oci-shim/training.ts');
  const program = '.sentry-training.cjs';
  writeFileSync(`${dist}/${program}`, trainingLoader('sentry', training.fd, 2000));
  const configs = ['config', 'goferConfig'].map((key) => {
    const file = `${dist}/.training-${key}`;
    writeFileSync(file, training[key]);
    const fd = openSync(file, 'r');
    rmSync(file);
    return fd;
  });
  keepCache('sentry', (fd) =>
    spawnSync(`${dist}/launcher`, training.argv(process.execPath, dist, program).slice(1), {
      stdio: ['ignore', 'ignore', 'ignore', ...configs, fd],
      timeout: 30_000,
    }),
  );
  for (const fd of configs) closeSync(fd);
  rmSync(`${dist}/${program}`);
}

/** The program's heap once its modules are evaluated, functions of its code cache included: see launcher-snapshot.c. */
function writeSnapshot(name, v8Args) {
  const stamp = spawnSync(`${dist}/launcher`, ['stamp', process.execPath], {
    encoding: 'latin1',
  }).stdout.trim();
  const program = `${dist}/.${name}-snapshot.cjs`;
  const blob = `${dist}/${name}-${stamp}.blob`;
  writeFileSync(program, loader(name).replace('(exports, ', '({}, ').replace('module, ', '{}, '));
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--no-warnings', ...v8Args, '--snapshot-blob', `${blob}.tmp`, '--build-snapshot', program],
    { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8', timeout: 60_000 },
  );
  if (status === 0 && retag(`${blob}.tmp`, v8Args)) renameSync(`${blob}.tmp`, blob);
  else console.error(`no start-up snapshot of the ${name}: ${stderr}`);
  rmSync(program);
}

/** Node's exit code for a snapshot that it refuses. */
const SNAPSHOT_REFUSED = 14;

/**
 * A snapshot names the V8 flags that it was made under, by a hash. With SNAPSHOT_V8_ARGS from the beginning it would have the
 * hash seed of Node's own snapshot, which everybody knows; so it is made without them, has a random seed of its own, and is
 * told afterwards. False: Node does not take it.
 */
function retag(blob, v8Args) {
  const node = (args) => spawnSync(process.execPath, args, { encoding: 'latin1', timeout: 60_000 });
  const tag = (args) => {
    const { stdout } = node([...args, '-p', 'require("v8").cachedDataVersionTag()']);
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(Number.parseInt(stdout, 10) || 0xffffffff);
    return bytes;
  };
  const withSnapshot = [...v8Args, ...SNAPSHOT_V8_ARGS];
  const head = Buffer.alloc(256);
  const fd = openSync(blob, 'r+');
  readSync(fd, head);
  const at = head.indexOf(tag(v8Args));
  if (at >= 0) writeSync(fd, tag(withSnapshot), 0, 4, at);
  closeSync(fd);
  // Without the launcher's descriptors the program ends by itself.
  return at >= 0 && node([...withSnapshot, '--snapshot-blob', blob, 'none']).status !== SNAPSHOT_REFUSED;
}

await build({ ...common, entryPoints: ['syscalls/docs.ts'], outfile: 'dist/.docs.cjs' });
writeFileSync(`${dist}/syscalls.json`, JSON.stringify(require(`${dist}/.docs.cjs`).syscallDocs()));
rmSync(`${dist}/.docs.cjs`);
const { SENTRY_V8_ARGS, GOFER_V8_ARGS, SNAPSHOT_V8_ARGS } = await load(
  'platform-ptrace/confine/launcher-protocol.ts',
);
/**
 * Node's heavier modules are loaded at first use: most commands of the CLI need none of them, and they are a third of its
 * start.
 */
function builtinsAtFirstUse(text) {
  const heavy = '"(node:(?:assert|child_process|crypto|fs/promises|os|stream|string_decoder|zlib))"';
  const lazy = `const __builtin = (name) => new Proxy(function () {}, {
  get: (_, key) => (key === 'default' ? require(name) : require(name)[key]),
  apply: (_, self, args) => require(name)(...args),
});
`;
  return (
    lazy +
    text
      .replace(new RegExp(`__toESM\\(require\\(${heavy}\\), 1\\)`, 'g'), '__builtin("$1")')
      .replace(new RegExp(`require\\(${heavy}\\)`, 'g'), '__builtin("$1")')
  );
}

const programs = [
  ['oci-shim/sentry-main.ts', 'sentry', 'sentry.cjs', SENTRY_V8_ARGS, []],
  ['gofer/main.ts', 'gofer', 'gofer.cjs', GOFER_V8_ARGS, []],
  ['oci-shim/cli.ts', 'cli', 'runsc-ts', [], ['--version']],
];
for (const old of readdirSync(dist).filter((f) => /\.(blob|blob\.tmp|cache)$/.test(f)))
  rmSync(`${dist}/${old}`);
for (const [entry, name, target, v8Args, args] of programs) {
  const { outputFiles } = await build({
    ...common,
    entryPoints: [entry],
    outfile: `dist/${name}.js`,
    write: false,
  });
  const text = name === 'cli' ? builtinsAtFirstUse(outputFiles[0].text) : outputFiles[0].text;
  const source = `(function (exports, require, module, __filename, __dirname) {${text}\n})`;
  writeProgram(`${name}.js`, source);
  writeCodeCache(name, v8Args, args, name === 'gofer');
  // No extension: node takes runsc-ts as CommonJS, because dist/package.json says so.
  writeProgram(target, (target === 'runsc-ts' ? '#!/usr/bin/env node\n' : '') + loader(name));
}
writeFileSync(`${dist}/package.json`, '{ "type": "commonjs" }\n');
await trainSentry();
await trainCli();
for (const [, name, , v8Args] of programs.slice(0, 2)) writeSnapshot(name, v8Args);
