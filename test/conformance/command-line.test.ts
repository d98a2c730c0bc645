/** `warren` on the command line: what it prints, how it refuses, how it ends. Each refusal is a sentence with a mend. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import amqplib from 'amqplib'
import { options } from '../../src/config/options.ts'
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
    const data = freshDirectory()
    const first = await serve(data)
    const publisher = await amqplib.connect(`amqp://127.0.0.1:${first.port}`)
    const channel = await publisher.createConfirmChannel()
    await channel.assertQueue('kept', { durable: true })
    channel.sendToQueue('kept', Buffer.from('hello'), { persistent: true })
    await channel.waitForConfirms()
    await publisher.close()
    await stop(first.command)

    const second = await serve(data)
    const reader = await amqplib.connect(`amqp://127.0.0.1:${second.port}`)
    const message = await (await reader.createChannel()).get('kept', { noAck: true })
    assert.equal(message === false ? null : message.content.toString(), 'hello')
    await reader.close()
    await stop(second.command)
  })

  it('is up in less than 300 ms on an empty directory', async () => {
    const times: number[] = []
    while (times.length < 10 && Math.min(...times) >= 300) {
      const start = performance.now()
      const { command } = await serve(freshDirectory())
      times.push(performance.now() - start)
      await stop(command)
    }
    assert.ok(Math.min(...times) < 300, `took ${times.map(Math.round).join(', ')} ms`)
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

  it('refuses a wrong configuration with file, line, key and mend', async () => {
    const file = join(scratch, 'wrong.toml')
    writeFileSync(file, '\nport = 70000\nprot = 1\n')
    const refused = await runWarren(['serve', '--config', file, '--data', freshDirectory()])
    assert.equal(refused.code, 2)
    assert.deepEqual(refused.stderr.split('\n'), [
      `warren: ${file}:2: port = 70000 does not fit; give a whole number from 0 to 65535, such as 5672`,
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
): Promise<{ command: RunningCommand; port: number; line: string }> {
  const command = startWarren(['serve', '--port', '0', '--host', '127.0.0.1', '--data', data, ...more])
  const match = await command.printed(listening)
  return { command, port: Number(match[2]), line: match[0] }
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
