/** `warren` on the command line: what it prints, how it refuses, how it ends. Each refusal is a sentence with a mend. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import amqplib from 'amqplib'
import { options } from '../../src/config/options.ts'
import { RawClient } from '../support/amqp/raw-client.ts'
import { type RunningCommand, runWarren, startWarren } from '../support/warren-command.ts'

const scratch = mkdtempSync(join(tmpdir(), 'warren-cli-'))
after(() => rmSync(scratch, { recursive: true, force: true }))
let count = 0
const freshDirectory = (): string => join(scratch, `data-${++count}`)
const listening = /^Warren \d+\.\d+\.\d+ listens on amqp:\/\/(\S+):(\d+), data in (.+)$/m

describe('warren serve', () => {
  it('prints one line with the address and the data directory, then serves', async () => {
    const data = freshDirectory()
    const { command, port, line } = await serve(data)
    const connection = await amqplib.connect(`amqp://127.0.0.1:${port}`)
    await connection.close()
    const result = await stop(command)
    assert.equal(result.code, 0)
    assert.equal(result.stdout, `${line}\n`)
    assert.ok(line.endsWith(`data in ${data}`))
  })

  it('listens on all interfaces unless told otherwise', async () => {
    const command = startWarren(['serve', '--port', '0', '--data', freshDirectory()])
    const [, host] = await command.printed(listening)
    assert.equal(host, '*')
    assert.equal((await stop(command)).code, 0)
  })

  it('keeps what was confirmed over a stop and a start', async () => {
    const data = await storeMessages(freshDirectory(), ['hello', 'there'])
    assert.deepEqual(await storedMessages(data), ['hello', 'there'])
  })

  it('is up in less than 300 ms on an empty directory', async (test) => {
    const commands: RunningCommand[] = []
    const times: number[] = []
    const bareTimes: number[] = []
    const isFast = (): boolean => Math.min(...times) < Math.max(300, 6 * Math.min(...bareTimes))
    while (times.length < 8 && !isFast()) {
      bareTimes.push(await milliseconds(() => once(spawn(process.execPath, ['-e', '0']), 'close')))
      times.push(await milliseconds(async () => void commands.push((await serve(freshDirectory())).command)))
    }
    await Promise.all(commands.map(stop))
    test.diagnostic(
      `up after ${times.map(Math.round).join(', ')} ms; Node alone takes ${bareTimes.map(Math.round).join(', ')} ms`,
    )
    assert.ok(isFast(), 'a busy machine is allowed six times what it takes to start Node alone')
  })

  it('refuses a data directory that another process holds', async () => {
    const data = freshDirectory()
    const { command } = await serve(data)
    const refused = await runWarren(['serve', '--port', '0', '--host', '127.0.0.1', '--data', data])
    refusedWith(refused, 3, data, /in use by process \d+; stop/)
    assert.equal((await stop(command)).code, 0)
  })

  it('starts again on the directory of one that was killed', async () => {
    const data = freshDirectory()
    const { command } = await serve(data)
    command.child.kill('SIGKILL')
    await command.result
    const again = await serve(data)
    assert.equal((await stop(again.command)).code, 0)
  })

  it('refuses a port that is in use', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const refused = await runWarren([
      'serve',
      '--host',
      '127.0.0.1',
      '--port',
      String(port),
      '--data',
      freshDirectory(),
    ])
    server.close()
    refusedWith(refused, 4, String(port), /--port/)
  })

  it('refuses an address that is not of this machine', async () => {
    const refused = await runWarren(['serve', '--host', '192.0.2.1', '--port', '0', '--data', freshDirectory()])
    refusedWith(refused, 4, '192.0.2.1', /--host/)
  })

  it('refuses a data directory that is a file, or cannot be made', async () => {
    const file = join(scratch, 'file')
    writeFileSync(file, 'not a directory')
    for (const data of [file, join(file, 'below'), '/proc/warren']) {
      refusedWith(await runWarren(['serve', '--port', '0', '--data', data]), 3, data, /--data/)
    }
  })

  it('refuses a directory with a newer format or with the files of somebody else', async () => {
    const newer = freshDirectory()
    await stop((await serve(newer)).command)
    writeFileSync(join(newer, 'format'), 'warren data directory, format 99\n')
    refusedWith(await runWarren(['serve', '--port', '0', '--data', newer]), 3, newer, /format 99/)

    const foreign = mkdtempSync(join(scratch, 'foreign-'))
    writeFileSync(join(foreign, 'thesis.tex'), 'precious')
    refusedWith(await runWarren(['serve', '--port', '0', '--data', foreign]), 3, foreign, /empty/)
    assert.deepEqual(readdirSync(foreign), ['thesis.tex'])
  })

  it('refuses a directory that has lost one of its logs, rather than begin anew', async () => {
    const data = await storeMessages(freshDirectory(), ['precious'])
    renameSync(join(data, 'shard-0'), join(scratch, 'elsewhere'))
    refusedWith(
      await runWarren(['serve', '--port', '0', '--data', data]),
      3,
      data,
      /lost its folder shard-0; put it back/,
    )
    renameSync(join(scratch, 'elsewhere'), join(data, 'shard-0'))
    assert.deepEqual(await storedMessages(data), ['precious'])
  })

  it('refuses a wrong configuration with file, line, key and mend', async () => {
    const file = join(scratch, 'wrong.toml')
    writeFileSync(file, '\nport = 70000\nprot = 1\n')
    const refused = await runWarren(['serve', '--config', file, '--data', freshDirectory()])
    assert.equal(refused.code, 2)
    assert.deepEqual(refused.stderr.split('\n'), [
      `warren: ${file}:2: port = 70000 does not fit; give a whole number from 0 to 65535 or "none", such as 5672`,
      `warren: ${file}:3: prot: there is no such option; did you mean port?`,
      '',
    ])
  })

  it('tells clients why it goes, and ends with 0 when they have gone', async () => {
    const { command, port } = await serve(freshDirectory())
    const connection = await amqplib.connect(`amqp://127.0.0.1:${port}`)
    const told = new Promise<unknown>((resolve) => connection.once('close', resolve))
    assert.equal((await stop(command)).code, 0)
    assert.match(String(await told), /320 \(CONNECTION-FORCED\)/)
  })

  it('cuts off who has not gone in time, and says so by its exit code', async () => {
    const { command, port } = await serve(freshDirectory(), [], { WARREN_DRAIN_TIMEOUT: '300ms' })
    const client = await silentClient(port)
    assert.equal((await stop(command)).code, 5)
    client.destroy()
  })

  it('stops at once on a second signal, but not on the echo of the first', async () => {
    const { command, port } = await serve(freshDirectory())
    const client = await silentClient(port)
    command.child.kill('SIGINT')
    command.child.kill('SIGTERM')
    const ended = command.result.then(() => 'ended')
    const later = new Promise((resolve) => setTimeout(resolve, 700, 'still there'))
    assert.equal(await Promise.race([ended, later]), 'still there')
    assert.equal((await stop(command)).code, 5)
    client.destroy()
  })

  it('blocks publishers while the disk is short, and nobody else', async () => {
    const data = await storeMessages(freshDirectory(), ['stored before'])
    const { command, port } = await serve(data, [], { WARREN_DISK_FREE_MIN: '1000TiB' })
    const publisher = await amqplib.connect(`amqp://127.0.0.1:${port}`)
    const blocked = once(publisher, 'blocked')
    const channel = await publisher.createConfirmChannel()
    let isConfirmed = false
    channel.sendToQueue('kept', Buffer.from('too much'), { persistent: true }, () => {
      isConfirmed = true
    })
    assert.deepEqual(await blocked, ['low on disk'])
    assert.deepEqual(await readMessages(port), ['stored before'])
    assert.equal(isConfirmed, false)
    assert.equal((await stop(command)).code, 0)
  })

  it('writes its log as JSON lines when nobody watches', async () => {
    const { command } = await serve(freshDirectory(), ['--log-level', 'debug'])
    const { stderr } = await stop(command)
    const lines = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    assert.ok(lines.length > 0)
    for (const line of lines)
      assert.deepEqual(
        Object.keys(line).filter((key) => /^(level|time|msg)$/.test(key)),
        ['level', 'time', 'msg'],
      )
  })
})

describe('warren fsck', () => {
  it('finds nothing wrong after a clean stop, and says what it looked at', async () => {
    const data = freshDirectory()
    await stop((await serve(data)).command)
    const result = await runWarren(['fsck', data])
    assert.equal(result.code, 0, result.stdout + result.stderr)
    assert.match(result.stdout, /topology/)
    assert.match(result.stdout, /no damage/)
    const json = JSON.parse((await runWarren(['fsck', '--json', data])).stdout) as { isDamaged: boolean }
    assert.equal(json.isDamaged, false)
  })

  it('names the bytes that are damaged, and saves what is whole', async () => {
    const data = await storeMessages(freshDirectory(), ['first', 'second', 'third'])
    const segment = join(data, 'shard-0', '0000000000.segment')
    const { at, bytes } = damage(segment, 'second')
    const found = await runWarren(['fsck', data])
    assert.equal(found.code, 1, found.stderr)
    const [, from, to] = /0000000000\.segment bytes (\d+) to (\d+) .*LOST/.exec(found.stdout) ?? []
    assert.ok(Number(from) <= at && at <= Number(to), found.stdout)
    refusedWith(await runWarren(['serve', '--port', '0', '--data', data]), 3, '0000000000.segment', /warren fsck/)

    const repaired = freshDirectory()
    assert.equal((await runWarren(['fsck', data, '--repair', repaired])).code, 1)
    assert.equal((await runWarren(['fsck', repaired])).code, 0)
    assert.deepEqual(await storedMessages(repaired), ['first', 'third'])
    assert.ok(readFileSync(segment).equals(bytes), 'the damaged directory is as it was')
    refusedWith(await runWarren(['fsck', data, '--repair', repaired]), 2, repaired, /new directory/)
  })

  it('takes a frame that was not finished when the broker was killed for no damage', async () => {
    const data = await storeMessages(freshDirectory(), ['first'], 'SIGKILL')
    damage(join(data, 'shard-0', '0000000000.segment'), 'first')
    const result = await runWarren(['fsck', data])
    assert.equal(result.code, 0, result.stdout)
    assert.match(
      result.stdout,
      /shard-0: intact;.* interrupted\n {2}0000000000.segment from byte \d+: .*never confirmed/,
    )
    assert.deepEqual(await storedMessages(data), [])
  })

  it('refuses while a broker runs', async () => {
    const data = freshDirectory()
    const { command } = await serve(data)
    refusedWith(await runWarren(['fsck', data]), 2, data, /stop/i)
    await stop(command)
  })

  it('refuses what is not a data directory', async () => {
    refusedWith(await runWarren(['fsck', join(scratch, 'nowhere')]), 2, 'nowhere', /directory/)
    refusedWith(await runWarren(['fsck', scratch]), 2, scratch, /data directory/)
  })
})

describe('warren', () => {
  it('explains itself, with every option', async () => {
    const help = await runWarren(['serve', '--help'])
    assert.equal(help.code, 0)
    for (const option of Object.values(options)) assert.ok(help.stdout.includes(`${option.key} = `), option.key)
    assert.match((await runWarren(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/)
  })

  it('answers wrong usage with a sentence and 2', async () => {
    for (const args of [['serv'], ['serve', '--prot', '1'], ['serve', '--port'], ['fsck']]) {
      const result = await runWarren(args)
      assert.equal(result.code, 2, args.join(' '))
      assert.match(result.stderr, /^error: /)
      assert.doesNotMatch(result.stderr, /\n\s+at /)
    }
  })
})

async function serve(
  data: string,
  more: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<{ command: RunningCommand; port: number; line: string }> {
  const command = startWarren(['serve', '--port', '0', '--host', '127.0.0.1', '--data', data, ...more], environment)
  const match = await command.printed(listening)
  return { command, port: Number(match[2]), line: match[0] }
}

/** Each in a frame of its own: confirmed before the next is sent. */
async function storeMessages(
  data: string,
  bodies: readonly string[],
  signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM',
): Promise<string> {
  const { command, port } = await serve(data)
  const connection = await amqplib.connect(`amqp://127.0.0.1:${port}`)
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('kept', { durable: true })
  for (const body of bodies) {
    channel.sendToQueue('kept', Buffer.from(body), { persistent: true })
    await channel.waitForConfirms()
  }
  await connection.close()
  command.child.kill(signal)
  await command.result
  return data
}

/** Flips one bit of the first byte of `text`. */
function damage(file: string, text: string): { at: number; bytes: Buffer } {
  const bytes = readFileSync(file)
  const at = bytes.indexOf(text)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(file, bytes)
  return { at, bytes }
}

async function storedMessages(data: string): Promise<string[]> {
  const { command, port } = await serve(data)
  const bodies = await readMessages(port)
  await stop(command)
  return bodies
}

async function readMessages(port: number): Promise<string[]> {
  const connection = await amqplib.connect(`amqp://127.0.0.1:${port}`)
  const channel = await connection.createChannel()
  const bodies: string[] = []
  for (let message = await channel.get('kept'); message !== false; message = await channel.get('kept')) {
    bodies.push(message.content.toString())
  }
  await connection.close()
  return bodies
}

/** A client that has logged in and never answers a close. */
function silentClient(port: number): Promise<RawClient> {
  return RawClient.connect({ host: '127.0.0.1', port, user: 'guest', password: 'guest' })
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

async function stop(command: RunningCommand): ReturnType<typeof runWarren> {
  command.child.kill('SIGTERM')
  return command.result
}

function refusedWith(result: Awaited<ReturnType<typeof runWarren>>, code: number, thing: string, mend: RegExp): void {
  assert.equal(result.code, code, result.stderr)
  assert.equal(result.stdout, '')
  const lines = result.stderr.trimEnd().split('\n')
  const sentence = lines.pop() ?? ''
  assert.match(sentence, /^warren: /)
  assert.ok(sentence.includes(thing), sentence)
  assert.match(sentence, mend)
  for (const line of lines) assert.match(line, /^\{.*\}$/, 'nothing else but the log')
}
