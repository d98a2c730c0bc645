/** What README.md shows is run as it stands, against a real broker; what it lists is compared with the program. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import amqplib from 'amqplib'
import { environmentName } from '../../src/config/option.ts'
import { options } from '../../src/config/options.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { blocks, programs, runModule } from '../support/documents.ts'
import { projectRoot } from '../support/project-root.ts'

const readme = readFileSync(join(projectRoot, 'README.md'), 'utf8')

describe('README.md', () => {
  it('shows code that runs as it stands and prints what it says', async (test) => {
    const [code = ''] = blocks(readme, 'js')
    const [expected = ''] = blocks(readme, 'text')
    assert.ok(code.split('\n').filter((line) => line.trim() !== '').length <= 15, 'fifteen lines at most')
    const broker = await BrokerProcess.start()
    test.after(() => broker.stop())
    const { code: status, output } = await runModule(code.replace('amqp://localhost', broker.url))
    assert.deepEqual({ status, output }, { status: 0, output: expected })
    assert.equal(await messagesLeft(broker, 'orders'), 0)
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
    for (const file of ['README.md', 'CONTRIBUTING.md']) {
      const text = readFileSync(join(projectRoot, file), 'utf8')
      for (const [, name = ''] of text.matchAll(/npm run ([\w:-]+)/g))
        assert.ok(scripts[name], `${file}: npm run ${name}`)
    }
  })

  it('links to files that exist, as all documents do', () => {
    const documents = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...docs()]
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
