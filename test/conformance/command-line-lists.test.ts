/**
 * The commands of `warren` that look at a broker by its management API, against a broker process and against servers
 * that misbehave. With WARREN_TEST_URL they use that broker, and WARREN_TEST_HTTP is its management API
 * (port 15672 of its host).
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import amqplib, { type Channel, type ChannelModel } from 'amqplib'
import { BrokerProcess } from '../support/broker-process.ts'
import { freePort } from '../support/ports.ts'
import { type CommandResult, runWarren, startWarren } from '../support/warren-command.ts'

const scratch = mkdtempSync(join(tmpdir(), 'warren-cli-lists-'))
const prefix = `cli-list-${process.pid}`
const [full, empty, exchange] = [`${prefix}-full`, `${prefix}-empty`, `${prefix}-exchange`]
let broker: BrokerProcess
let http: string
let connection: ChannelModel
let channel: Channel

before(async () => {
  const port = await freePort()
  broker = await BrokerProcess.start({ env: { WARREN_HTTP_PORT: String(port) } })
  http = broker.isExternal
    ? (process.env['WARREN_TEST_HTTP'] ?? `http://${broker.host}:15672`)
    : `http://127.0.0.1:${port}`
  connection = await amqplib.connect(broker.url, { clientProperties: { connection_name: prefix } })
  channel = await connection.createConfirmChannel()
  await channel.assertExchange(exchange, 'topic', { durable: true })
  for (const queue of [full, empty]) await channel.assertQueue(queue, { arguments: { 'x-max-length': 100 } })
  await channel.bindQueue(full, exchange, 'a.#')
  for (let index = 0; index < 3; index++) channel.publish(exchange, 'a.b', Buffer.from('x'))
  await (channel as amqplib.ConfirmChannel).waitForConfirms()
  await channel.consume(empty, () => undefined)
})

after(async () => {
  for (const queue of [full, empty]) await channel.deleteQueue(queue)
  await channel.deleteExchange(exchange)
  await connection.close()
  await broker.stop()
  rmSync(scratch, { recursive: true, force: true })
})

describe('the name of the broker', () => {
  it('is printed, and changed', async () => {
    const before = await runWarren(['cluster', 'name', '--http', http])
    assert.equal(before.code, 0, before.stderr)
    const given = await runWarren(['cluster', 'name', 'three hares', '--http', http])
    assert.deepEqual([given.code, given.stdout], [0, 'three hares\n'], given.stderr)
    assert.equal((await runWarren(['cluster', 'name', '--http', http])).stdout, 'three hares\n')
    assert.equal((await runWarren(['cluster', 'name', before.stdout.trim(), '--http', http])).code, 0)
    if (broker.isExternal) return
    const refused = await runWarren(['cluster', 'name', 'x'.repeat(256), '--http', http])
    assert.equal(refused.code, 9)
    assert.match(refused.stderr, /its value is longer than 255 bytes/)
  })
})

describe('the lists', { concurrency: 3 }, () => {
  it('show queues as an aligned table, and what is asked for', async () => {
    const columns = ['--columns', 'name,ready,consumers', '--sort', '-ready', '--vhost', '/']
    const rows = await untilListed(columns, (lines) => /-full +3 +0$/m.test(lines) && /-empty +0 +1$/m.test(lines))
    const [head = '', first = '', second = ''] = rows.split('\n').filter((line) => /^name|cli-list/.test(line))
    assert.match(head, /^name +ready {2}consumers$/)
    assert.ok(first.startsWith(full) && second.startsWith(empty), 'sorted by ready, most first')
    assert.deepEqual(
      [head, first, second].map((line) => line.length),
      Array(3).fill(head.length),
    )
  })

  it('are JSON for scripts: all there is, or the columns', async () => {
    const all = objects(await warren('queues', '--json'))
    const one = all.find(({ name }) => name === full)
    assert.deepEqual(one?.['arguments'], { 'x-max-length': 100 })
    assert.equal(one?.['vhost'], '/')
    const some = objects(await warren('queues', '--json', '--columns', 'name,durable'))
    assert.deepEqual(
      some.find(({ name }) => name === full),
      { name: full, durable: true },
    )
  })

  it('show exchanges and bindings, those that are always there only when asked', async () => {
    const exchanges = await warren('exchanges')
    assert.match(exchanges.stdout, new RegExp(`^/ +${exchange} +topic +yes$`, 'm'))
    assert.doesNotMatch(exchanges.stdout, /amq\.direct/)
    assert.match((await warren('exchanges', '--all')).stdout, /amq\.direct/)
    const bindings = await warren('bindings', '--columns', 'source,key,destination')
    assert.match(bindings.stdout, new RegExp(`^${exchange} +a\\.# +${full}$`, 'm'))
  })

  it('show who is connected', async () => {
    const deadline = performance.now() + 10_000
    const hasOurs = async (): Promise<boolean> => {
      const list = objects(await warren('connections', '--json', '--columns', 'user,channels,title'))
      return list.some(({ user, channels, title }) => user === broker.user && channels === 1 && title === prefix)
    }
    while (!(await hasOurs())) assert.ok(performance.now() < deadline, 'the connection of this test is not listed')
  })

  it('say what cannot be listed', async () => {
    refused(await warren('queues', '--columns', 'name,redy'), 2, /have no column 'redy'; did you mean ready\?/)
    refused(await warren('queues', '--sort', 'size'), 2, /have no column 'size'; there are vhost, name/)
    refused(await warren('queues', '--vhost', 'nowhere'), 8, /knows no \/api\/queues\/nowhere \(404/)
    const wrong = http.replace('://', '://nobody:secret-word@')
    const login = await runWarren(['queues', '--http', wrong])
    refused(login, 7, /refused the user 'nobody'; check user and password/)
    assert.doesNotMatch(login.stderr, /secret-word/)
    refused(await runWarren(['queues', '--http', 'amqp://x']), 2, /the URL of --http cannot be used; write it like/)
    const nobody = `http://127.0.0.1:${await freePort()}`
    refused(await runWarren(['queues', '--http', nobody]), 6, /no management API at .* \(ECONNREFUSED\)/)
  })
})

describe('warren top', () => {
  it('prints plain lines where there is no terminal, until Ctrl-C', async () => {
    const command = startWarren(['top', '--json', '--interval', '0.5', '--rows', '500'], environment())
    await command.printed(/\n/)
    for (let index = 0; index < 50; index++) channel.publish('', full, Buffer.from('x'))
    // RabbitMQ renews its counters every five seconds.
    await command.printed(new RegExp(`"name":"${full}","ready":53,"unacked":0,"consumers":0,`))
    command.child.kill('SIGINT')
    const { code, stderr } = await command.result
    assert.deepEqual({ code, stderr }, { code: 130, stderr: '' })
    const twice = await warren('top', '--count', '2', '--interval', '0.2')
    assert.equal(twice.code, 0)
    assert.equal(twice.stdout.match(/^\d{4}-\S+Z {2}[\d,]+ queues?, [\d,]+ ready, [\d,]+ unacked$/gm)?.length, 2)
    assert.ok(!twice.stdout.includes('\x1b'))
  })

  it('takes rates from the difference of counters', async () => {
    let looks = 0
    const answer = (): string => {
      const published = looks++ * 1_000_000
      const used = { publish: published, deliver_get: published, ack: 0 }
      const queues = [
        { vhost: '/', name: 'idle' },
        { vhost: '/', name: 'busy', message_stats: used },
      ]
      return JSON.stringify(queues)
    }
    await withServer(
      (_, response) => response.end(answer()),
      async (url) => {
        const { stdout } = await runWarren(['top', '--json', '--count', '2', '--interval', '0.2', '--http', url])
        const [first, second] = stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as { queues: unknown[] })
        assert.deepEqual(first?.queues.map(ratesOf), [
          ['busy', null, null],
          ['idle', null, null],
        ])
        const [busy = [], idle] = second?.queues.map(ratesOf) ?? []
        assert.ok(Number(busy[1]) > 100_000 && busy[2] === 0, `${busy}`)
        assert.deepEqual(idle, ['idle', null, null])
      },
    )
  })

  it('says when there is nothing to watch', async () => {
    const nobody = `http://127.0.0.1:${await freePort()}`
    refused(await runWarren(['top', '--http', nobody]), 6, /no management API/)
  })
})

describe('warren definitions', { concurrency: 2 }, () => {
  it('go out to a file that only its owner reads, and in again', async () => {
    const file = join(scratch, 'definitions.json')
    const exported = await warren('definitions', 'export', file)
    assert.equal(exported.code, 0, exported.stderr)
    assert.match(exported.stderr, /^exported .*\d queues.* to .*definitions\.json\n$/)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    const document = JSON.parse(readFileSync(file, 'utf8')) as { queues: { name: string }[] }
    assert.ok(document.queues.some(({ name }) => name === full))
    const made = `${prefix}-made`
    const queue = { name: made, vhost: '/', durable: true, auto_delete: false, arguments: {} }
    const text = JSON.stringify({ queues: [queue], exchanges: [], bindings: [] })
    const imported = await runWarren(['definitions', 'import', '-'], environment(), { input: text })
    assert.deepEqual(imported, { code: 0, stdout: '', stderr: 'imported 1 queue from stdin\n' })
    await channel.checkQueue(made)
    await channel.deleteQueue(made)
    const whole = await warren('definitions', 'export', '--vhost', '/')
    assert.ok(Array.isArray((JSON.parse(whole.stdout) as { queues: unknown }).queues))
  })

  it('say what cannot be imported', async () => {
    const file = join(scratch, 'bad.json')
    refused(await warren('definitions', 'import', join(scratch, 'none')), 2, /none cannot be read \(ENOENT\)/)
    writeFileSync(file, '{"queues": [')
    refused(await warren('definitions', 'import', file), 2, /bad\.json is no JSON/)
    writeFileSync(file, '[]')
    refused(await warren('definitions', 'import', file), 2, /holds no JSON object/)
    writeFileSync(file, '{"queues": [{"name": "x", "vhost": "/", "durable": true, "arguments": {"x-expires": 0}}]}')
    refused(await warren('definitions', 'import', file), 9, /refused \/api\/definitions \(\d+ .*x-expires/)
    refused(await warren('definitions', 'export', '/nowhere/x'), 2, /\/nowhere\/x cannot be written \(ENOENT\)/)
  })
})

describe('a server that is no management API', () => {
  const answers: readonly (readonly [string, string, RegExp])[] = [
    ['says something else', 'hello', /does not speak as a management API \(its answer is no JSON\)/],
    ['answers with no list', '{"a":1}', /\(its answer is no list\)/],
    ['has names with control characters', '[{"name":"a\\u001b[31m\\nb"}]', /^$/],
  ]
  for (const [name, body, sentence] of answers) {
    it(name, async () => {
      await withServer(
        (_, response) => response.end(body),
        async (url) => {
          const result = await runWarren(['queues', '--columns', 'name', '--http', url])
          assert.match(result.stderr, sentence)
          assert.equal(result.code, result.stderr === '' ? 0 : 9)
          if (result.code === 0) assert.equal(result.stdout, 'name\na�[31m�b\n')
        },
      )
    })
  }

  it('never answers', async () => {
    const silent: RequestListener = () => undefined
    await withServer(silent, async (url) => {
      refused(await runWarren(['queues', '--timeout', '0.2', '--http', url]), 6, /\(no answer within 0\.2 s\)/)
    })
  })
})

describe('warren bench', () => {
  it('measures two brokers side by side, with latencies', async () => {
    const file = join(scratch, 'bench.json')
    const quick = ['--seconds', '1', '--warm-up', '0', '--runs', '1', '--name', 'one', '--against-name', 'two']
    const args = ['bench', 'latency', '--rate', '1k', ...quick, '--against', broker.url, '--json', file]
    const { code, stdout, stderr } = await runWarren(args, environment())
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' }, stdout)
    const rows = stdout.split('\n').filter((line) => line.startsWith('| latency'))
    assert.deepEqual(
      rows.map((row) => row.split('|')[2]?.trim()),
      ['one', 'two'],
    )
    for (const row of rows) assert.match(row, /\d \/ [\d.]+ \/ [\d.]+ \| +[\d.]+ \/ [\d.]+ \/ [\d.]+ \|/)
    const { runs } = JSON.parse(readFileSync(file, 'utf8')) as { runs: { result: { problems: string[] } }[] }
    assert.deepEqual(
      runs.map(({ result }) => result.problems),
      [[], []],
    )
  })

  it('says what it can measure, and what it cannot', async () => {
    const help = await runWarren(['bench', '--help'])
    assert.equal(help.code, 0)
    assert.match(help.stdout, /^warren bench \[options\] \[scenario …\]\n.*persistent-1k.*Examples:\n/s)
    const refusal = await runWarren(['bench', 'nothing'])
    assert.equal(refusal.code, 2)
    assert.match(refusal.stderr, /^no scenario 'nothing'; there are transient-16, /)
  })
})

describe('help and completion', { concurrency: 4 }, () => {
  const commands = ['publish', 'consume', 'get', 'queues', 'exchanges', 'bindings', 'connections', 'purge']
  for (const name of [...commands, 'declare', 'delete', 'definitions', 'cluster', 'migrate', 'top', 'completion']) {
    it(`of ${name} has examples that its options allow`, async () => {
      const { code, stdout, stderr } = await runWarren([name, '--help'])
      assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
      assert.match(stdout, /^Usage: warren \w+ /)
      const [options = '', examples = ''] = stdout.split('\nExamples:\n')
      assert.match(examples, new RegExp(`warren ${name}`))
      if (['declare', 'delete', 'definitions', 'cluster'].includes(name)) return
      const used = [...examples.matchAll(new RegExp(`^.*warren ${name} (.*)$`, 'gm'))].flatMap(
        ([, line = '']) => (line.split('|')[0] ?? '').match(/(?<= )--[a-z-]+/g) ?? [],
      )
      for (const flag of used) assert.ok(options.includes(`  ${flag}`), `${flag} is no option`)
    })
  }

  it('knows every command, in words that bash reads', async () => {
    const script = (await runWarren(['completion', 'bash'])).stdout
    const complete = (...words: string[]): string[] => {
      const quoted = words.map((word) => `'${word}'`).join(' ')
      const ask = `COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _warren; echo "\${COMPREPLY[@]}"`
      const { stdout, stderr } = spawnSync('bash', ['-c', `${script}\n${ask}`], { encoding: 'utf8' })
      assert.equal(stderr, '')
      return stdout.trim().split(/\s+/)
    }
    assert.deepEqual(complete('warren', 'pu'), ['publish', 'purge'])
    assert.deepEqual(complete('warren', 'declare', ''), ['queue', 'exchange', 'binding', '--help'])
    assert.deepEqual(complete('warren', 'declare', 'queue', '--ty'), ['--type'])
    assert.deepEqual(complete('warren', 'serve', '--da'), ['--data'])
    for (const [shell, head] of [
      ['zsh', /^#compdef warren\n/],
      ['fish', /^# fish completion/],
    ] as const) {
      const { code, stdout } = await runWarren(['completion', shell])
      assert.equal(code, 0)
      assert.match(stdout, head)
      assert.match(stdout, /concurrency/)
    }
    refused(await runWarren(['completion', 'tcsh']), 2, /no completion for 'tcsh'; give bash, zsh, fish/)
  })
})

// ---------------------------------------------------------------- steps

function environment(): Readonly<Record<string, string>> {
  return { WARREN_URL: broker.url, WARREN_HTTP: http }
}

function warren(...args: string[]): Promise<CommandResult> {
  return runWarren(args, environment())
}

/** RabbitMQ renews what it lists every five seconds. */
async function untilListed(args: readonly string[], isIt: (text: string) => boolean): Promise<string> {
  const deadline = performance.now() + 15_000
  for (;;) {
    const { code, stdout, stderr } = await warren('queues', ...args)
    assert.equal(code, 0, stderr)
    if (isIt(stdout)) return stdout
    assert.ok(performance.now() < deadline, `not listed as it is:\n${stdout}`)
  }
}

/** A server for one test. */
async function withServer(answer: RequestListener, use: (url: string) => Promise<void>): Promise<void> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  try {
    await use(`http://127.0.0.1:${address.port}`)
  } finally {
    server.closeAllConnections()
    server.close()
  }
}

function ratesOf(queue: unknown): unknown[] {
  const { name, published, acknowledged } = queue as Record<string, unknown>
  return [name, published, acknowledged]
}

function objects({ code, stdout, stderr }: CommandResult): Record<string, unknown>[] {
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout) as Record<string, unknown>[]
}

function refused(result: CommandResult, code: number, sentence: RegExp): void {
  assert.match(result.stderr, sentence)
  assert.match(result.stderr, /^warren: [^\n]+\n$/)
  assert.doesNotMatch(result.stderr, /\n\s+at |undefined|\[object/)
  assert.deepEqual({ code: result.code, stdout: result.stdout }, { code, stdout: '' })
}
