/** What README.md shows is run as it stands, against a real broker; what it lists is compared with the program. */
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, it } from 'node:test'
import amqplib from 'amqplib'
import { environmentName } from '../../src/config/option.ts'
import { options } from '../../src/config/options.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { blocks, programs, runModule } from '../support/documents.ts'
import { LinkedPackage } from '../support/linked-package.ts'
import { freePort } from '../support/ports.ts'
import { projectRoot } from '../support/project-root.ts'
import { runProgram } from '../support/run-program.ts'
import { warrenMain } from '../support/warren-command.ts'

const readme = readFileSync(join(projectRoot, 'README.md'), 'utf8')
const linked = new LinkedPackage()
after(() => linked.remove())

describe('README.md', () => {
  it('begins with a TypeScript program that compiles, runs and prints what it says', async () => {
    const [first, ...others] = programs(readme, 'ts')
    assert.ok(first !== undefined && first.output !== null && others.length === 0)
    assert.ok(first.code.split('\n').filter((line) => line.trim() !== '').length <= 15, 'fifteen lines at most')
    const { stdout, stderr, status } = await linked.run(first.code)
    assert.deepEqual({ stdout, stderr, status }, { stdout: first.output, stderr: '', status: 0 })
  })

  it('shows code that runs as it stands and prints what it says', async (test) => {
    const [program, ...others] = programs(readme)
    assert.ok(program !== undefined && others.length === 0)
    const { code, output: expected } = program
    assert.ok(code.split('\n').filter((line) => line.trim() !== '').length <= 15, 'fifteen lines at most')
    const broker = await BrokerProcess.start()
    test.after(() => broker.stop())
    const { code: status, output } = await runModule(code.replace('amqp://localhost', broker.url))
    assert.deepEqual({ status, output }, { status: 0, output: expected })
    assert.equal(await messagesLeft(broker, 'orders'), 0)
  })

  it('shows commands that print what it says', async (test) => {
    const port = await freePort()
    const broker = await BrokerProcess.start({ env: { WARREN_HTTP_PORT: String(port) } })
    test.after(() => broker.stop())
    if (broker.isExternal) return test.diagnostic('the transcript needs a broker with nothing in it')
    const folder = mkdtempSync(join(tmpdir(), 'warren-readme-'))
    test.after(() => rmSync(folder, { recursive: true }))
    // As npx finds it where the package is installed.
    writeFileSync(join(folder, 'npx'), `#!/bin/sh\nshift\nexec '${process.execPath}' '${warrenMain}' "$@"\n`)
    chmodSync(join(folder, 'npx'), 0o755)
    const http = `127.0.0.1:${port}`
    const env = { PATH: `${folder}:${process.env['PATH']}`, WARREN_URL: broker.url, WARREN_HTTP: `http://${http}` }
    const steps = blocks(readme, 'console').flatMap((block) => block.split(/^\$ /m).slice(1))
    assert.ok(steps.length >= 5)
    for (const step of steps) {
      const [line = '', ...printed] = step.split('\n')
      const command = line.replace('localhost:15672', http)
      const { stdout } = await runProgram('bash', ['-c', `{ ${command}\n} 2>&1`], { env })
      // The answer of the HTTP API does not end with a line.
      assert.equal(`$ ${line}\n${stdout.trimEnd()}`, `$ ${line}\n${printed.join('\n').trimEnd()}`)
    }
  })

  it('says in Chinese what it says in English: the same code, the same links, the same tables', () => {
    const chinese = readFileSync(join(projectRoot, 'README.zh-CN.md'), 'utf8')
    const codeOf = (text: string): string[] => {
      const fenced = Array.from(text.matchAll(/^```[\s\S]*?^```$/gm), ([block]) => block)
      return [...fenced, ...Array.from(text.matchAll(/^ {4}\S.*?(?= {2,}#|$)/gm), ([line]) => line)]
    }
    assert.deepEqual(codeOf(chinese), codeOf(readme))
    const linksOf = (text: string): string[] =>
      Array.from(new Set(Array.from(text.matchAll(/\]\(([^)#]+)\)/g), ([, target = '']) => target)))
        .filter((target) => !target.startsWith('README'))
        .sort()
    assert.deepEqual(linksOf(chinese), linksOf(readme))
    const rowsOf = (text: string): string[] =>
      Array.from(text.matchAll(/^\| `--\S+ .*$/gm), ([row]) => row.split('|').slice(0, 5).join('|'))
    assert.deepEqual(rowsOf(chinese), rowsOf(readme))
    const headingsOf = (text: string): number => text.match(/^## /gm)?.length ?? 0
    assert.equal(headingsOf(chinese), headingsOf(readme))
  })

  it('names flag, key, variable and default of each option as the program has them', () => {
    const rows = readme.split('\n').filter((line) => line.startsWith('| `--'))
    assert.equal(rows.length, 5)
    for (const row of rows) {
      const [, flag = '', key = '', variable, value] = row.split('|').map((cell) => cell.trim().replaceAll('`', ''))
      const option = Object.values(options).find((each) => each.key === key)
      if (flag === '--config') continue
      assert.deepEqual([flag, variable, value], [`--${key}`, environmentName(key), option?.defaultText])
    }
  })

  it('names commands that package.json has', () => {
    const { scripts } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    }
    for (const file of ['README.md', 'README.zh-CN.md', 'CONTRIBUTING.md']) {
      const text = readFileSync(join(projectRoot, file), 'utf8')
      for (const [, name = ''] of text.matchAll(/npm run ([\w:-]+)/g))
        assert.ok(scripts[name], `${file}: npm run ${name}`)
    }
  })

  it('links to files that exist, as all documents do', () => {
    const documents = ['README.md', 'README.zh-CN.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...docs()]
    for (const document of documents) {
      const text = readFileSync(join(projectRoot, document), 'utf8')
      for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)#]+)/g)) {
        assert.ok(existsSync(join(projectRoot, dirname(document), target)), `${document} links to ${target}`)
      }
    }
  })
})

describe('docs', () => {
  it('show programs that run as they stand and print what they say', { timeout: 120_000 }, async (test) => {
    const shown = docs().flatMap((document) =>
      programs(readFileSync(join(projectRoot, document), 'utf8')).map((program) => ({ document, ...program })),
    )
    assert.ok(shown.length >= 9, 'a program for each feature of queues')
    const broker = await BrokerProcess.start()
    test.after(() => broker.stop())
    for (const { document, code, output: expected } of shown) {
      assert.ok(expected !== null, `${document}: a program is followed by what it prints`)
      const { code: status, output } = await runModule(code.replace('amqp://localhost', broker.url))
      assert.deepEqual({ document, status, output }, { document, status: 0, output: expected })
    }
  })
})

describe('docs on TypeScript', () => {
  for (const name of ['topology-as-code', 'tracing', 'request-reply', 'tasks', 'push-pop']) {
    const document = `docs/${name}.md`
    it(`${document} shows programs that compile, run and print what it says`, async () => {
      const shown = programs(readFileSync(join(projectRoot, document), 'utf8'), 'ts')
      assert.ok(shown.length > 0)
      for (const { code, output } of shown) {
        const { stdout, stderr, status } = await linked.run(code)
        assert.deepEqual({ stdout, stderr, status }, { stdout: output, stderr: '', status: 0 })
      }
    })
  }
})

describe('docs/configuration.md', () => {
  it('lists every option with its default, and no other', () => {
    const text = readFileSync(join(projectRoot, 'docs/configuration.md'), 'utf8')
    const listed = Array.from(
      text.matchAll(/^\| `([\w.-]+)` \| `([^`]+)` \|/gm),
      ([, key, value]) => `${key} = ${value}`,
    )
    assert.deepEqual(
      listed,
      Object.values(options).map(({ key, defaultText }) => `${key} = ${defaultText}`),
    )
  })
})

async function messagesLeft(broker: BrokerProcess, queue: string): Promise<number> {
  const connection = await amqplib.connect(broker.url)
  const { messageCount } = await (await connection.createChannel()).checkQueue(queue)
  await connection.close()
  return messageCount
}

function docs(): string[] {
  return readdirSync(join(projectRoot, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => `docs/${path}`)
}
