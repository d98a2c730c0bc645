/**
 * The test command. Builds, sees to the foreign AMQP clients that the tests use, then hands all test files of the
 * chosen kinds to one run of Node's own test runner, whose counts are the last lines printed.
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
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const built = join(root, 'dist', 'test')

/** A kind is a folder of `test/`. */
const kinds = ['unit', 'tidy', 'contract', 'formats', 'fuzz', 'conformance', 'crash', 'regression']
const fastKinds = ['unit', 'tidy']
/** Kinds that drive foreign clients. */
const foreignKinds = ['conformance', 'crash']

/** Each test file is a process of its own, and many of them start a broker besides. */
const filesAtOnce = 2
/** A file or test that takes longer hangs. */
const timeoutMs = 300_000

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
  const wanted = named.length > 0 ? named : isFast ? fastKinds : kinds.filter(isThere)

  build()
  if (wanted.some(needsForeignClients)) installForeignClients()
  const files = wanted.flatMap(testFiles)
  if (files.length === 0) fail(`no test files in ${wanted.join(', ')}`)
  console.log(`tests: ${files.length} files of ${wanted.join(', ')}; made ready in ${secondsSince(started)}`)

  const { status, signal } = spawnSync(process.execPath, [...runnerOptions(only), ...files], { stdio: 'inherit' })
  console.error(
    `test command: ${status === 0 ? 'passed' : `FAILED (${signal ?? `status ${status}`})`} after ${secondsSince(started)}`,
  )
  process.exitCode = status ?? 1
}

function runnerOptions(only) {
  return [
    '--test',
    '--test-reporter=spec',
    `--test-concurrency=${filesAtOnce}`,
    `--test-timeout=${timeoutMs}`,
    ...only.map((pattern) => `--test-name-pattern=${pattern}`),
  ]
}

/** The compiler leaves behind what it once made of a file that is gone; such a test must not run. */
function build() {
  for (const path of testFilesBelow(built)) {
    if (!existsSync(join(root, 'test', path.replace(/\.js$/, '.ts')))) rmSync(join(built, path))
  }
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], { stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) fail('the build failed')
}

/** What cannot be installed is named by the script; the tests fail for it in CI and say it loudly elsewhere. */
function installForeignClients() {
  spawnSync('sh', [join(root, 'scripts', 'install-test-dependencies.sh')], { stdio: ['ignore', 'inherit', 'inherit'] })
}

function needsForeignClients(name) {
  return foreignKinds.some((kind) => name === kind || name.startsWith(`test/${kind}`))
}

function isThere(kind) {
  return existsSync(sourceOf(kind))
}

/** `unit` → `test/unit`, a path → itself. */
function sourceOf(name) {
  return name.includes('/') ? name : join('test', name)
}

/** All compiled test files below a kind, folder or file. The runner's own search is left out: it differs between versions of Node. */
function testFiles(name) {
  const source = sourceOf(name)
  if (!existsSync(source)) fail(`no tests at '${source}'; the kinds are ${kinds.filter(isThere).join(', ')}`)
  const compiled = join('dist', source.replace(/\.ts$/, '.js'))
  if (!existsSync(compiled)) fail(`the build did not write '${compiled}'`)
  if (statSync(compiled).isFile()) return [compiled]
  return testFilesBelow(compiled).map((path) => join(compiled, path))
}

function testFilesBelow(folder) {
  if (!existsSync(folder)) return []
  const isTest = (path) => path.endsWith('.test.js')
  return readdirSync(folder, { recursive: true }).filter(isTest).sort()
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
