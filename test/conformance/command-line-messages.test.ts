/**
 * `warren publish`, `consume`, `get`, `declare`, `delete` and `purge` as people and scripts use them, against a broker
 * process: what they print, how they end, and that nothing is lost when they are stopped in the middle.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import amqplib, { type Channel, type ChannelModel } from 'amqplib'
import { BrokerProcess } from '../support/broker-process.ts'
import { type CommandOptions, type CommandResult, runWarren, startWarren } from '../support/warren-command.ts'

/** Only our own broker takes this little, in bytes. */
const messageBytesMax = 4 * 1024 * 1024
const scratch = mkdtempSync(join(tmpdir(), 'warren-cli-messages-'))
let broker: BrokerProcess
let connection: ChannelModel
let channel: Channel
let queueCount = 0

before(async () => {
  const env = { WARREN_HTTP_PORT: 'none', WARREN_LIMITS_MESSAGE_SIZE: `${messageBytesMax}B` }
  broker = await BrokerProcess.start({ env })
  connection = await amqplib.connect(broker.url)
  channel = await connection.createChannel()
})

after(async () => {
  await connection.close()
  await broker.stop()
  rmSync(scratch, { recursive: true, force: true })
})

describe('warren publish and get', { concurrency: 3 }, () => {
  it('take a message through the broker with its properties', async () => {
    const queue = await freshQueue()
    const properties = ['--content-type', 'text/plain', '--priority', '3', '--message-id', 'm1', '--type', 't']
    const headers = ['--header', 'n=42', '--header', 's="42"', '--header', 'yes=true', '--header', 'o={"a":[1,"b"]}']
    const sent = await warren('publish', '--queue', queue, 'hello', ...properties, ...headers, '--transient')
    done(sent, '', /^published 1 message to queue '.*', all confirmed\n$/)
    const got = await warren('get', queue, '--json')
    done(got, /^\{.*\}\n$/)
    assert.deepEqual(JSON.parse(got.stdout), {
      exchange: '',
      routing_key: queue,
      redelivered: false,
      properties: {
        content_type: 'text/plain',
        delivery_mode: 1,
        priority: 3,
        message_id: 'm1',
        type: 't',
        headers: { n: 42, s: '42', yes: true, o: { a: [1, 'b'] } },
      },
      payload_bytes: 5,
      payload: 'hello',
      payload_encoding: 'string',
    })
  })

  it('take a body whole, with every byte, from a file and from stdin', async () => {
    const queue = await freshQueue()
    const body = Buffer.from([...Array(256).keys(), 10, 13, 10])
    writeFileSync(join(scratch, 'body.bin'), body)
    done(await warren('publish', '--queue', queue, '--file', join(scratch, 'body.bin'), '--quiet'), '', '')
    done(await pipe(body, 'publish', '--queue', queue, '--quiet'), '', '')
    const got = await warren('get', queue, '--count', '5', '--json')
    const bodies = got.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    assert.equal(bodies.length, 2)
    for (const { payload, payload_encoding } of bodies) {
      assert.equal(payload_encoding, 'base64')
      assert.deepEqual(Buffer.from(String(payload), 'base64'), body)
    }
  })

  it('make a message of each line, whatever ends it', async () => {
    const queue = await freshQueue()
    const sent = await pipe('a\nb\r\n\nlast', 'publish', '--queue', queue, '--lines', '--json')
    done(sent, /"published":4,"confirmed":4,"returned":0,"nacked":0/)
    assert.equal((await warren('get', queue, '--count', '9')).stdout, 'a\nb\n\nlast\n')
  })

  it('repeat a body, and count what the broker confirmed', async () => {
    const queue = await freshQueue()
    const sent = await warren('publish', '--queue', queue, 'x', '--count', '3000', '--json')
    assert.equal((JSON.parse(sent.stdout) as { confirmed: number }).confirmed, 3000)
    assert.equal(await ready(queue), 3000)
    const unconfirmed = await warren('publish', '--queue', queue, 'x', '--count', '3000', '--no-confirm', '--quiet')
    done(unconfirmed, '', '')
    // RabbitMQ has read them by then, and its queue takes them in a moment later.
    await readyReaches(queue, 6000)
    done(await warren('purge', queue), /^purged 6,000 messages of /)
  })

  it('say with exit code 10 that no queue got a message, or that it was refused', async () => {
    refused(await warren('publish', '--queue', 'nobody', 'x'), 10, /'nobody' \(312 NO_ROUTE\); declare it first/)
    const direct = ['--exchange', 'amq.direct', '--routing-key', 'nobody', 'x']
    done(await warren('publish', ...direct, '--quiet'), '', '')
    refused(await warren('publish', ...direct, '--mandatory'), 10, /key 'nobody' \(312 NO_ROUTE\); bind a queue/)
    const full = await freshQueue({ 'x-max-length': 1, 'x-overflow': 'reject-publish' })
    const many = await warren('publish', '--queue', full, 'x', '--count', '3', '--quiet')
    refused(many, 10, /did not take \d messages? \(basic\.nack\)/)
  })

  it('say that an exchange is not there, with confirms and without', async () => {
    for (const more of [[], ['--no-confirm']]) {
      const result = await warren('publish', '--exchange', 'nowhere', 'x', ...more)
      refused(result, 8, /404 NOT_FOUND - no exchange 'nowhere' in vhost '\/'/)
    }
  })

  it('look at messages and leave them there; an empty queue is exit code 11', async () => {
    const queue = await freshQueue()
    await pipe('1\n2\n3\n', 'publish', '--queue', queue, '--lines', '--quiet')
    done(await warren('get', queue, '--count', '2', '--requeue'), '1\n2\n')
    assert.equal(await ready(queue), 3)
    done(await warren('get', queue, '--count', '5'), '1\n2\n3\n')
    const empty = await warren('get', queue)
    assert.deepEqual(empty, { code: 11, stdout: '', stderr: '' })
  })
})

describe('warren consume', { concurrency: 3 }, () => {
  it('takes as many as it is told, and not one more', async () => {
    const queue = await filled(500)
    done(await warren('consume', queue, '--count', '3', '--quiet'), '0\n1\n2\n', '')
    assert.equal(await ready(queue), 497)
    done(await warren('consume', queue, '--count', '250', '--no-ack', '--quiet'), numbers(3, 253), '')
    assert.equal(await ready(queue), 247)
    done(await warren('consume', queue, '--idle', '0.3', '--quiet'), numbers(253, 500), '')
    assert.equal(await ready(queue), 0)
  })

  it('looks at all messages and leaves them', async () => {
    const queue = await filled(300)
    done(await warren('consume', queue, '--requeue', '--idle', '0.3', '--quiet'), numbers(0, 300), '')
    assert.equal(await ready(queue), 300)
  })

  it('gives each message to a command, and acknowledges by its exit code', async () => {
    const queue = await filled(5)
    const command = 'read -r n; echo "$n:$MESSAGE_REDELIVERED"; test "$n:$MESSAGE_REDELIVERED" != 2:false'
    const result = await warren('consume', queue, '--count', '6', '--exec', command)
    assert.deepEqual(result.stdout.trimEnd().split('\n'), [
      '0:false',
      '1:false',
      '2:false',
      '2:true',
      '3:false',
      '4:false',
    ])
    assert.equal(result.stderr, 'warren: the command ended with 1 for message 3; the message goes back\n')
    assert.equal(result.code, 1)
    assert.equal(await ready(queue), 0)
  })

  it('rejects what a command could not do, to the dead letters', async () => {
    const dead = await freshQueue()
    const queue = await freshQueue({ 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead })
    await warren('publish', '--queue', queue, 'poison', '--quiet')
    const result = await warren('consume', queue, '--count', '1', '--exec', 'exit 9', '--on-failure', 'reject')
    assert.equal(result.code, 1)
    assert.equal((await warren('get', dead)).stdout, 'poison\n')
    assert.equal(await ready(queue), 0)
  })

  it('reads a stream from where it is told, as often as it likes', async () => {
    const stream = `cli-stream-${process.pid}-${++queueCount}`
    done(await warren('declare', 'queue', stream, '--type', 'stream'), /is there/)
    await pipe(numbers(0, 50), 'publish', '--queue', stream, '--lines', '--quiet')
    for (const offset of ['first', '20']) {
      const from = offset === 'first' ? 0 : 20
      const read = await warren('consume', stream, '--offset', offset, '--count', '10', '--quiet')
      done(read, numbers(from, from + 10), '')
    }
    done(await warren('delete', 'queue', stream), /^deleted queue/)
  })

  it('ends quietly when nobody reads its output any more', async () => {
    const queue = await filled(20_000)
    const command = start('consume', queue, '--quiet')
    await command.printed(/^10$/m)
    command.child.stdout?.destroy()
    const { code, stderr } = await command.result
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
    assert.equal((await channel.checkQueue(queue)).consumerCount, 0)
  })

  it('says that the queue was deleted under it', async () => {
    const queue = await filled(1)
    const command = start('consume', queue, '--quiet')
    await command.printed(/^0$/m)
    await channel.deleteQueue(queue)
    refused(await command.result, 8, /ended the subscription to queue '.*'; it was deleted or has moved/)
  })
})

describe('Ctrl-C', () => {
  it('in consume: each message has been printed, or is in the queue', async () => {
    const total = 30_000
    const queue = await filled(total)
    const command = start('consume', queue, '--quiet')
    await command.printed(/^100$/m)
    command.child.kill('SIGINT')
    const { code, stdout, stderr } = await command.result
    assert.deepEqual({ code, stderr }, { code: 130, stderr: '' })
    const printed = stdout.split('\n').length - 1
    assert.equal(stdout, numbers(0, printed))
    assert.ok(printed < total, 'it was stopped in the middle')
    assert.equal(await ready(queue), total - printed)
  })

  it('in a command of consume: it ends first, and its message is acknowledged', async () => {
    const queue = await filled(4)
    const command = start('consume', queue, '--exec', 'cat; echo begun; sleep 0.4; echo ended')
    await command.printed(/begun/)
    command.child.kill('SIGINT')
    const { code, stdout } = await command.result
    assert.deepEqual({ code, stdout }, { code: 130, stdout: '0begun\nended\n' })
    assert.equal(await ready(queue), 3)
  })

  it('in publish: what it says is stored is stored, and nothing else', async () => {
    const queue = await freshQueue()
    const command = startWarren(['publish', '--queue', queue, '--lines', '--json'], environment(), { input: 'pipe' })
    const input = command.child.stdin
    assert.ok(input !== null)
    input.write(numbers(0, 5_000))
    while ((await ready(queue)) === 0);
    input.write(numbers(5_000, 30_000))
    command.child.kill('SIGINT')
    const { code, stdout, stderr } = await command.result
    assert.equal(code, 130)
    // How it goes on, where that takes seconds.
    assert.match(stderr, /^(published [\d,]+, [\d,]+\/s\n)*$/)
    const { published, confirmed, stopped } = JSON.parse(stdout) as Record<string, number | boolean>
    assert.deepEqual({ confirmed, stopped }, { confirmed: published, stopped: true })
    assert.equal(await ready(queue), published)
    const stored = await warren('consume', queue, '--count', String(published), '--quiet')
    assert.equal(stored.stdout, numbers(0, Number(published)))
  })

  it('in publish of very many: it says how many were stored', async () => {
    const queue = await freshQueue()
    const command = start('publish', '--queue', queue, 'x', '--count', '1000000000')
    while ((await ready(queue)) < 100);
    command.child.kill('SIGTERM')
    const { code, stderr } = await command.result
    assert.equal(code, 143)
    const [, count = ''] =
      /published ([\d,]+) messages .* all confirmed, \d+\/s; stopped before the end/.exec(stderr) ?? []
    assert.equal(await ready(queue), Number(count.replaceAll(',', '')))
  })
})

describe('warren declare and delete', () => {
  it('make a queue, an exchange and a binding, and take them away', async () => {
    const [queue, exchange] = [`cli-made-${process.pid}`, `cli-exchange-${process.pid}`]
    const declare = () => warren('declare', 'queue', queue, '--arg', 'x-max-length=10')
    done(await declare(), `queue '${queue}' is there\n`, '')
    done(await declare(), `queue '${queue}' is there\n`, '')
    refused(await warren('declare', 'queue', queue), 9, /406 PRECONDITION_FAILED - inequivalent arg 'x-max-length'/)
    done(await warren('declare', 'exchange', exchange, '--type', 'topic'), /is there/)
    done(await warren('declare', 'binding', exchange, queue, '--key', 'a.*'), /is bound to queue/)
    done(await warren('publish', '--exchange', exchange, '--routing-key', 'a.b', 'x', '--mandatory', '--quiet'), '')
    refused(await warren('delete', 'queue', queue, '--if-empty'), 9, /406 PRECONDITION_FAILED .*not empty|in use/)
    refused(await warren('delete', 'exchange', exchange, '--if-unused'), 9, /406 PRECONDITION_FAILED/)
    done(await warren('delete', 'binding', exchange, queue, '--key', 'a.*'), /is not bound/)
    done(await warren('delete', 'exchange', exchange, '--if-unused'), `deleted exchange '${exchange}'\n`)
    done(await warren('delete', 'queue', queue), `deleted queue '${queue}' with 1 message\n`)
    refused(await warren('delete', 'queue', queue), 8, /404 NOT_FOUND - no queue/)
    refused(await warren('delete', 'exchange', exchange), 8, /404 NOT_FOUND - no exchange/)
    refused(await warren('purge', queue), 8, /404 NOT_FOUND - no queue/)
  })
})

describe('bad input is one sentence with a mend', { concurrency: 4 }, () => {
  const queueArguments = ['--queue', 'q', 'x']
  const cases: readonly (readonly [string, readonly string[], number, RegExp])[] = [
    [
      'no broker',
      ['get', 'q', '--url', 'amqp://127.0.0.1:1'],
      6,
      /no connection to amqp:\/\/127\.0\.0\.1:1 \(ECONNREFUSED\)/,
    ],
    [
      'no such host',
      ['get', 'q', '--url', 'amqp://nowhere.invalid'],
      6,
      /host of amqp:\/\/nowhere\.invalid.* has no address/,
    ],
    ['no URL', ['get', 'q', '--url', 'localhost'], 2, /cannot be read as a URL|not a protocol/],
    ['another protocol', ['get', 'q', '--url', 'http://h'], 2, /'http:' is not a protocol/],
    ['no target', ['publish', 'x'], 2, /give --queue NAME, or --exchange/],
    ['two targets', ['publish', 'x', '--queue', 'q', '--exchange', 'e'], 2, /--queue goes without --exchange/],
    [
      'no such file',
      ['publish', '--queue', 'q', '--file', '/nowhere/x'],
      2,
      /--file \/nowhere\/x cannot be read \(ENOENT\)/,
    ],
    ['a directory', ['publish', '--queue', 'q', '--file', tmpdir()], 2, /is a directory/],
    ['header without =', ['publish', ...queueArguments, '--header', 'a'], 2, /--header 'a' is not NAME=VALUE/],
    ['header of bad JSON', ['publish', ...queueArguments, '--header', 'a={b'], 2, /--header a begins like JSON/],
    ['header beyond 64 bits', ['publish', ...queueArguments, '--header', 'a=99999999999999999999'], 2, /64 bits/],
    ['two times', ['publish', ...queueArguments, '--delay', '1s', '--at', '2030-01-01'], 2, /--delay and --at/],
    ['no moment', ['publish', ...queueArguments, '--at', 'soon'], 2, /--at 'soon' is no moment/],
    ['no offset', ['consume', 'q', '--offset', 'middle'], 2, /--offset 'middle' is none/],
    ['a long name', ['publish', '--queue', 'q'.repeat(300), 'x'], 2, /routing key of 300 bytes, where 255/],
    ['half of TLS', ['get', 'q', '--tls-cert', 'c.pem'], 2, /belong together/],
    ['TLS where there is none', ['get', 'q', '--url', 'TLS'], 6, /no TLS connection to amqps:/],
    ['an unknown queue', ['consume', 'nowhere'], 8, /404 NOT_FOUND - no queue 'nowhere' in vhost '\/'/],
    ['an unknown queue to get', ['get', 'nowhere'], 8, /no queue 'nowhere'/],
    ['a wrong vhost', ['get', 'q', '--url', 'VHOST'], 7, /vhost nowhere not found.*--url/],
    ['a wrong password', ['get', 'q', '--url', 'PASSWORD'], 7, /refused the login .*check user name and password/],
  ]
  for (const [name, args, code, sentence] of cases) {
    it(name, async () => {
      const { host, port, user } = broker
      const urls: Readonly<Record<string, string>> = {
        TLS: `amqps://${host}:${port}`,
        VHOST: `${broker.url.slice(0, -3)}nowhere`,
        PASSWORD: `amqp://${user}:secret-word@${host}:${port}`,
      }
      const result = await warren(...args.map((arg) => urls[arg] ?? arg))
      refused(result, code, sentence)
      assert.doesNotMatch(result.stderr, /secret-word/)
    })
  }

  it('options that commander knows better', async () => {
    for (const args of [
      ['publish', '--lines', '--count', '0'],
      ['get'],
      ['consume', 'q', '--cuont', '1'],
      ['pubish'],
    ]) {
      const { code, stdout, stderr } = await warren(...args)
      assert.deepEqual({ code, stdout }, { code: 2, stdout: '' })
      assert.match(stderr, /^error: .*\n/)
      assert.doesNotMatch(stderr, /\n\s+at /)
    }
  })

  it('a message above the limit', async (test) => {
    if (broker.isExternal) return test.diagnostic('the limit of this broker is not ours')
    const queue = await freshQueue()
    const result = await pipe(Buffer.alloc(messageBytesMax + 1), 'publish', '--queue', queue)
    refused(result, 9, /message size \d+ is larger than configured max size 4194304/)
  })

  it('a broker that goes away', async (test) => {
    if (broker.isExternal) return test.diagnostic('this broker is not ours to kill')
    const other = await BrokerProcess.start({ env: { WARREN_HTTP_PORT: 'none' } })
    const [url, queue] = [other.url, 'q']
    done(await runWarren(['declare', 'queue', queue, '--url', url]), /is there/)
    const consuming = startWarren(['consume', queue, '--url', url])
    const publishing = startWarren(['publish', '--url', url, '--queue', queue, 'x', '--count', '1000000000'])
    await consuming.printed(/x\nx\n/)
    await other.kill()
    refused(await consuming.result, 6, /connection to .* was lost.*run the command again/)
    const { code, stderr } = await publishing.result
    assert.equal(code, 6)
    assert.match(stderr, /published [\d,]+ messages, \d+ of them confirmed\nwarren: the connection to .* was lost/)
    await other.stop()
  })

  it('a port where nobody answers, and Ctrl-C while it waits', async () => {
    const server = createServer(() => undefined)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    assert.ok(address !== null && typeof address === 'object')
    const url = `amqp://127.0.0.1:${address.port}`
    refused(await warren('get', 'q', '--url', url, '--timeout', '0.3'), 6, /did not answer in time; .*--timeout/)
    const command = start('get', 'q', '--url', url)
    await once(server, 'connection')
    command.child.kill('SIGINT')
    refused(await command.result, 130, /stopped before .* had answered/)
    server.close()
  })
})

// ---------------------------------------------------------------- steps

function environment(): Readonly<Record<string, string>> {
  return { WARREN_URL: broker.url }
}

function warren(...args: string[]): Promise<CommandResult> {
  return runWarren(args, environment())
}

function start(...args: string[]) {
  return startWarren(args, environment())
}

function pipe(input: NonNullable<CommandOptions['input']>, ...args: string[]): Promise<CommandResult> {
  return runWarren(args, environment(), { input })
}

async function freshQueue(table: Record<string, unknown> = {}): Promise<string> {
  const name = `cli-${process.pid}-${++queueCount}`
  await channel.assertQueue(name, { durable: true, autoDelete: false, arguments: { 'x-expires': 120_000, ...table } })
  return name
}

/** A queue with the numbers from 0 as bodies. */
async function filled(count: number): Promise<string> {
  const queue = await freshQueue()
  done(await pipe(numbers(0, count), 'publish', '--queue', queue, '--lines', '--quiet'), '', '')
  return queue
}

function numbers(from: number, to: number): string {
  return Array.from({ length: to - from }, (_, index) => `${from + index}\n`).join('')
}

async function ready(queue: string): Promise<number> {
  return (await channel.checkQueue(queue)).messageCount
}

async function readyReaches(queue: string, count: number): Promise<void> {
  const deadline = performance.now() + 10_000
  while ((await ready(queue)) < count) assert.ok(performance.now() < deadline, `${queue} has not got ${count} messages`)
}

function done({ code, stdout, stderr }: CommandResult, out: string | RegExp, remark?: string | RegExp): void {
  assert.equal(code, 0, stderr)
  for (const [text, wanted] of [
    [stdout, out],
    [stderr, remark ?? /^/],
  ] as const) {
    if (typeof wanted === 'string') assert.equal(text, wanted)
    else assert.match(text, wanted)
  }
}

function refused(result: CommandResult, code: number, sentence: RegExp): void {
  assert.match(result.stderr, sentence)
  assert.match(result.stderr, /^warren: [^\n]+\n$/)
  assert.doesNotMatch(result.stderr, /\n\s+at |undefined|\[object/)
  assert.equal(result.code, code)
}
