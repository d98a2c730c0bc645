/**
 * The test command. Builds, sees to the foreign AMQP clients that the tests use, then hands all test files of the
 * chosen kinds to Node's own test runner: first those that measure time, alone, then those that mostly wait, more of them at
 * once, then all others. The last lines printed name what failed and add up the runner's counts.
 *
 *   node scripts/test.mjs                      everything
 *   node scripts/test.mjs --fast               what should follow every change: unit and tidy, without foreign clients
 *   node scripts/test.mjs crash conformance    some kinds
 *   node scripts/test.mjs test/unit/amqp       one folder, or one file by its source name
 *   node scripts/test.mjs --only='PATTERN' …   only the tests with such a name
 *
 * Plain JavaScript on purpose: it runs before anything is compiled.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { delimiter, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const built = join(root, 'dist', 'test')

/** What should follow every change. A kind is a folder of `test/`. */
const fastKinds = ['unit', 'tidy']
/** Kinds that drive foreign clients, or a nats-server. */
const foreignKinds = ['conformance', 'contract', 'crash', 'chaos', 'cluster']
/** Kinds that measure time, or take the whole machine: their files run before the others, one at a time. */
const aloneKinds = ['fairness']
/** Kinds that wait for elections and sessions to end more than they compute: less than half a processor for each of their files. */
const waitingKinds = ['chaos', 'cluster']

/** Each test file is a process of its own, and many of them start a broker besides. */
const filesAtOnce = 2
const waitingFilesAtOnce = 3
/** Who asks for more rounds, seeds or seconds than the test command's own says it with one of these. */
const amountOptions = /^WARREN_(SEEDS|[A-Z]+_(SECONDS|CYCLES|CASES|SESSIONS|MESSAGES|RESTARTS))$/
const isLong = Object.keys(process.env).some((name) => amountOptions.test(name))
/** A file or test that takes longer hangs. What somebody asked more of may take days. */
const timeoutMs = isLong ? 7 * 86_400_000 : 900_000

const started = Date.now()
process.chdir(root)
main(process.argv.slice(2))

function main(args) {
  checkNode()
  const only = args.filter((arg) => arg.startsWith('--only=')).map((arg) => arg.slice('--only='.length))
  const isFast = args.includes('--fast')
  const unknown = args.filter((arg) => arg.startsWith('--') && arg !== '--fast' && !arg.startsWith('--only='))
  if (unknown.length > 0) fail(`unknown option ${unknown.join(' ')}; there are --fast and --only=PATTERN`)
  const named = args.filter((arg) => !arg.startsWith('--'))
  const wanted = named.length > 0 ? named : isFast ? fastKinds : allKinds()

  build()
  if (wanted.some(needsForeignClients)) installForeignClients()
  const files = [...new Set(wanted.flatMap(testFiles))]
  if (files.length === 0) fail(`no test files in ${wanted.join(', ')}`)
  console.log(`tests: ${files.length} files of ${wanted.join(', ')}; made ready in ${secondsSince(started)}`)

  const ofKinds = (kinds) => (file) => kinds.some((kind) => file.startsWith(join('dist', 'test', kind)))
  const [isAlone, isWaiting] = [ofKinds(aloneKinds), ofKinds(waitingKinds)]
  const others = files.filter((file) => !isAlone(file) && !isWaiting(file))
  const runs = [
    run(files.filter(isAlone), 1, only),
    run(files.filter(isWaiting), waitingFilesAtOnce, only),
    run(others, filesAtOnce, only),
  ]
  finish(runs.filter((result) => result !== null))
}

/** One run of the runner. Null when there is nothing to run. */
function run(files, concurrency, only) {
  if (files.length === 0) return null
  const folder = mkdtempSync(join(tmpdir(), 'warren-counts-'))
  const counts = join(folder, 'counts')
  const options = [
    '--test',
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    `--test-reporter=${new URL('count-reporter.mjs', import.meta.url).href}`,
    `--test-reporter-destination=${counts}`,
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${timeoutMs}`,
    ...only.map((pattern) => `--test-name-pattern=${pattern}`),
  ]
  const { status, signal } = spawnSync(process.execPath, [...options, ...files], { stdio: 'inherit' })
  const counted = existsSync(counts) ? readFileSync(counts, 'utf8') : ''
  rmSync(folder, { recursive: true, force: true })
  return { status, signal, counts: counted === '' ? null : JSON.parse(counted) }
}

/** The closing line, and the exit status. */
function finish(runs) {
  const sum = (name) => runs.reduce((total, { counts }) => total + (counts?.[name] ?? 0), 0)
  const isWhole = runs.every(({ counts }) => counts !== null)
  const isGreen = isWhole && runs.every(({ status }) => status === 0)
  if (!isWhole) console.error('test command: a run of the test runner broke off; its counts are missing')
  const skipped = sum('skipped') > 0 ? `, ${sum('skipped')} skipped` : ''
  const verdict = isGreen ? 'ok' : 'FAILED'
  console.log('')
  for (const failure of runs.flatMap(({ counts }) => counts?.failures ?? [])) console.log(`failed: ${failure}`)
  console.log(`${verdict}: ${sum('passed')} passed, ${sum('failed')} failed${skipped} in ${secondsSince(started)}`)
  process.exitCode = isGreen ? 0 : 1
}

/** The compiler leaves behind what it once made of a file that is gone; such a test must not run. */
function build() {
  for (const path of filesBelow(built, '.test.js')) {
    if (!existsSync(join(root, 'test', path.replace(/\.js$/, '.ts')))) rmSync(join(built, path))
  }
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], { stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) fail('the build failed')
}

/** What cannot be installed is named by the script; the tests fail for it in CI and say it loudly elsewhere. */
function installForeignClients() {
  // Where nats-server goes for those who are not root.
  process.env.PATH = [process.env.PATH, join(homedir(), '.local', 'bin')].join(delimiter)
  spawnSync('sh', [join(root, 'scripts', 'install-test-dependencies.sh')], { stdio: ['ignore', 'inherit', 'inherit'] })
}

function needsForeignClients(name) {
  return foreignKinds.some((kind) => name === kind || name.startsWith(`test/${kind}`))
}

/** The folders of `test/` that hold tests. */
function allKinds() {
  const folders = readdirSync('test', { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return folders.map(({ name }) => name).filter((name) => filesBelow(join('test', name), '.test.ts').length > 0)
}

/** `unit` → `test/unit`, a path → itself. */
function sourceOf(name) {
  return name.includes('/') ? name : join('test', name)
}

/** All compiled test files below a kind, folder or file. The runner's own search is left out: it differs between versions of Node. */
function testFiles(name) {
  const source = sourceOf(name)
  if (!existsSync(source)) fail(`no tests at '${source}'; the kinds are ${allKinds().join(', ')}`)
  const compiled = join('dist', source.replace(/\.ts$/, '.js'))
  if (!existsSync(compiled)) fail(`the build did not write '${compiled}'`)
  if (statSync(compiled).isFile()) return [compiled]
  return filesBelow(compiled, '.test.js').map((path) => join(compiled, path))
}

function filesBelow(folder, ending) {
  if (!existsSync(folder)) return []
  const paths = readdirSync(folder, { recursive: true })
  return paths.filter((path) => path.endsWith(ending)).sort()
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19)) fail(`Node ${process.version} is too old; 20.19 or newer is needed`)
  if (!existsSync(join(root, 'node_modules', 'typescript')))
    fail(`no packages in ${relative(process.cwd(), root) || '.'}; run npm ci first`)
}

function secondsSince(time) {
  return `${((Date.now() - time) / 1000).toFixed(1)} s`
}

function fail(sentence) {
  console.error(`test command: ${sentence}`)
  process.exit(1)
}
