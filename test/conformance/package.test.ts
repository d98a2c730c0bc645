/**
 * The package as npm makes it, in a project that has nothing else: what it holds, and that it can be imported, required,
 * compiled against and run, on this Node and on the newest.
 */
import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { programs as programsOf } from '../support/documents.ts'
import { buildFolder, compile } from '../support/linked-package.ts'
import { projectRoot } from '../support/project-root.ts'
import { runProgram } from '../support/run-program.ts'

const folder = mkdtempSync(join(tmpdir(), 'warren-pack-'))
const project = join(folder, 'project')
const installed = join(project, 'node_modules', 'warrenmq')
/** Packages are in npm's cache as a rule; otherwise they come from the registry. */
const npmMsMax = 180_000

/** Sends a message to a broker in the process and gets it back, by all three entries of the package. */
const roundTrip = `
async function main() {
  const clock = new ManualClock()
  const broker = await Broker.start({ storage: 'memory', port: 0, clock })
  const client = await connect(broker.url)
  const orders = client.queue('orders')
  await orders.send({ id: 1 }, { delay: 3_600_000 })
  await clock.advance('1h')
  console.log(JSON.stringify((await orders.get()).body), version)
  await client.close()
  await broker.stop()
}
main()
`

const programs = {
  'esm.mjs': `
import { Broker, version } from 'warrenmq'
import { connect } from 'warrenmq/client'
import { ManualClock } from 'warrenmq/testing'
${roundTrip}`,
  'common.cjs': `
const { Broker, version } = require('warrenmq')
const { connect } = require('warrenmq/client')
const { ManualClock } = require('warrenmq/testing')
${roundTrip}`,
}

const typed = `
const broker = await Broker.start({ storage: 'memory', clock: new ManualClock() })
const client: Client = await connect(broker.url)
const orders = client.queue<{ id: number }>('orders')
await orders.send({ id: 1 })
const id: number | undefined = (await orders.get())?.body.id
console.log(id, String(await plan(client, [orders])))
`
const imports = `
import { Broker } from 'warrenmq'
import { type Client, connect, plan } from 'warrenmq/client'
import { ManualClock } from 'warrenmq/testing'
`

interface Packed {
  readonly filename: string
  readonly size: number
  readonly unpackedSize: number
  readonly files: readonly { readonly path: string }[]
}

let packed: Packed

before(async () => {
  packed = await pack()
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'project', private: true, type: 'module' }))
  for (const [name, code] of Object.entries(programs)) writeFileSync(join(project, name), code)
  const packages = [join(folder, packed.filename), '@types/node@20.19.25']
  await npm(['install', '--prefer-offline', '--no-audit', '--no-fund', ...packages], project)
})

after(() => rmSync(folder, { recursive: true, force: true }))

describe('the package', () => {
  it('holds the compiled program and no more', (test) => {
    const paths = packed.files.map(({ path }) => path)
    for (const path of [
      'README.md',
      'LICENSE',
      'dist/bin/warren.js',
      'dist/ui/index.html.gz',
      'dist/src/index.js',
      'dist/src/index.d.ts',
    ])
      assert.ok(paths.includes(path), path)
    const known =
      /^(package\.json|LICENSE|README[\w.-]*\.md|dist\/bin\/(warren|part-\w+)\.js|dist\/(src|bench)\/.*\.(js|d\.ts|json)|dist\/ui\/.*\.(html|js|css|svg)(\.gz)?)$/
    assert.deepEqual(
      paths.filter((path) => !known.test(path) || /(^|\/)test\/|\.test\.|\.map$/.test(path)),
      [],
    )
    const kilobytes = (bytes: number): string => `${Math.round(bytes / 1_000)} kB`
    const size = `${kilobytes(packed.size)} packed, ${kilobytes(packed.unpackedSize)} in ${paths.length} files`
    test.diagnostic(`the package: ${size}`)
    assert.ok(packed.size < 2_000_000, size)
  })

  it('names no folder of the machine it was made on', () => {
    const folders = [projectRoot, tmpdir(), homedir()].filter((path) => path.length > 4)
    const naming = packed.files.filter(({ path }) => {
      const text = readFileSync(join(installed, path), 'utf8')
      // Of a folder for all there is more than one meaning.
      return folders.some((one) => one !== '/tmp' && text.includes(one))
    })
    assert.deepEqual(naming, [])
  })

  for (const name of Object.keys(programs)) {
    it(`works as ${name}, without a word on stderr`, async () => {
      const { stdout, stderr, status } = await runProgram(process.execPath, [name], { cwd: project })
      assert.deepEqual({ stdout, stderr, status }, { stdout: expectedLine(), stderr: '', status: 0 })
    })
  }

  it('has types for importers and bundlers, and for CommonJS', async () => {
    writeFileSync(join(project, 'typed.mts'), imports + typed)
    writeFileSync(join(project, 'typed.cts'), `${imports}\nexport async function main() {\n${typed}\n}`)
    const node = await compile(project, ['typed.mts', 'typed.cts'], ['--noEmit', '--module', 'nodenext'])
    assert.deepEqual([node.stdout, node.status], ['', 0])
    writeFileSync(join(project, 'wrong.mts'), `${imports}${typed}\nawait orders.send({ id: 'one' })\n`)
    const wrong = await compile(project, ['wrong.mts'], ['--noEmit', '--module', 'nodenext'])
    assert.match(wrong.stdout, /^wrong\.mts.* Type 'string' is not assignable to type 'number'\.\n$/)
    const bundler = ['--noEmit', '--module', 'esnext', '--moduleResolution', 'bundler']
    const bundled = await compile(project, ['typed.mts'], bundler)
    assert.deepEqual([bundled.stdout, bundled.status], ['', 0])
  })

  it('runs the first example of the README', async () => {
    const readme = readFileSync(join(installed, 'README.md'), 'utf8')
    const [{ code, output: expected } = { code: '', output: '' }] = programsOf(readme, 'ts')
    writeFileSync(join(project, 'first.ts'), code)
    const compiled = await compile(project, ['first.ts'], ['--module', 'nodenext'])
    assert.deepEqual([compiled.stdout, compiled.status], ['', 0])
    const { stdout, stderr, status } = await runProgram(process.execPath, ['first.js'], { cwd: project })
    assert.deepEqual({ stdout, stderr, status }, { stdout: expected, stderr: '', status: 0 })
  })

  it('has the command `warren`', async () => {
    const help = await runProgram('npx', ['--no-install', 'warren', '--help'], { cwd: project })
    assert.equal(help.status, 0, help.stderr)
    assert.match(help.stdout, /serve/)
    const broken = await runProgram('npx', ['--no-install', 'warren', 'consume', '--help'], { cwd: project })
    assert.equal(broken.status, 0, broken.stderr)
    assert.match(broken.stdout, /--url/)
    const data = join(folder, 'data')
    const args = ['--no-install', 'warren', 'serve', '--data', data, '--host', '192.0.2.1', '--http-port', 'none']
    const refused = await runProgram('npx', args, { cwd: project })
    assert.match(refused.stderr, /cannot listen on port 5672 of 192\.0\.2\.1 \(EADDRNOTAVAIL\)/)
  })

  it('works on the newest Node', { timeout: npmMsMax }, async (test) => {
    const newest = join(folder, 'newest')
    mkdirSync(newest)
    const args = ['install', '--prefix', newest, '--no-audit', '--no-fund', 'node@latest']
    const got = await runProgram('npm', args, { cwd: newest, msMax: npmMsMax })
    const node = newestNode(newest)
    if (node === null) return notTested(test, got.stderr)
    test.diagnostic(`the newest Node: ${(await runProgram(node, ['--version'])).stdout.trim()}`)
    for (const name of Object.keys(programs)) {
      const { stdout, stderr, status } = await runProgram(node, [name], { cwd: project })
      assert.deepEqual({ name, stdout, stderr, status }, { name, stdout: expectedLine(), stderr: '', status: 0 })
    }
    const help = await runProgram(node, [join(installed, 'dist/bin/warren.js'), '--version'])
    assert.equal(help.stdout.trim(), version())
  })
})

/** Of what the build wrote, as `npm pack` would after a build of its own, which would clear the folder tests run in. */
async function pack(): Promise<Packed> {
  const source = join(folder, 'source')
  mkdirSync(source)
  for (const name of readdirSync(projectRoot)) {
    if (/^(package\.json|LICENSE|README.*\.md)$/.test(name)) cpSync(join(projectRoot, name), join(source, name))
  }
  for (const name of ['src', 'bench', 'bin', 'ui']) {
    cpSync(join(buildFolder, name), join(source, 'dist', name), { recursive: true })
  }
  const { stdout } = await npm(['pack', '--ignore-scripts', '--json', '--pack-destination', folder], source)
  const answer = JSON.parse(stdout) as Packed[] | Record<string, Packed>
  const [result] = Object.values(answer)
  assert.ok(result)
  return result
}

async function npm(args: readonly string[], cwd: string): Promise<{ stdout: string }> {
  const { status, stdout, stderr } = await runProgram('npm', args, { cwd, msMax: npmMsMax })
  assert.equal(status, 0, `npm ${args[0]}: ${stderr}`)
  return { stdout }
}

/** The package `node` brings the program as a file of its own or of a package beside it. */
function newestNode(prefix: string): string | null {
  const modules = join(prefix, 'node_modules')
  if (!existsSync(modules)) return null
  const folders = readdirSync(modules).filter((name) => name.startsWith('node'))
  return folders.map((name) => join(modules, name, 'bin', 'node')).find((path) => existsSync(path)) ?? null
}

function notTested(test: { diagnostic(text: string): void }, why: string): void {
  const sentence = 'the package was NOT tested on the newest Node: npm did not bring it'
  if (process.env['CI'] === 'true') throw new Error(`${sentence}\n${why}`)
  console.error(`\n*** ${sentence} ***\n`)
  test.diagnostic(sentence)
}

function version(): string {
  return (JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string }).version
}

function expectedLine(): string {
  return `{"id":1} ${version()}\n`
}
