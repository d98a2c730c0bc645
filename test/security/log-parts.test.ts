/** Each part of the program writes its lines under its name, and has a level that can be changed while it runs. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import { BrokerProcess } from '../support/broker-process.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/ports.ts'

const folder = mkdtempSync(join(tmpdir(), 'warren-parts-'))
const file = join(folder, 'warren.toml')
let broker: BrokerProcess
let api: string

before(async () => {
  const httpPort = await freePort()
  api = `http://127.0.0.1:${httpPort}/api`
  writeFileSync(file, '')
  broker = await BrokerProcess.start({ args: ['--config', file], env: { WARREN_HTTP_PORT: String(httpPort) } })
})
after(async () => {
  await broker.stop()
  rmSync(folder, { recursive: true, force: true })
})

interface Line {
  readonly msg: string
  readonly part?: string
}

function lines(): Line[] {
  const written = broker.output.split('\n').filter((line) => line.startsWith('{') && line.endsWith('}'))
  return written.map((line) => JSON.parse(line) as Line)
}

function partOf(text: RegExp): string | undefined {
  return lines().find(({ msg }) => text.test(msg))?.part
}

async function call(method: string, path: string, body?: unknown): Promise<number> {
  const headers = { authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}` }
  const answer = await fetch(api + path, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return answer.status
}

async function setLevels(levels: string): Promise<void> {
  writeFileSync(file, `log-levels = "${levels}"`)
  assert.equal(await call('PUT', '/warren/reload'), 200)
}

it('names the part of each line', async () => {
  await broker.kill()
  await broker.restart()
  assert.equal(partOf(/^the log was not closed/), 'log')
  assert.equal(partOf(/^topology is open/), 'broker')
  assert.equal(await call('PUT', '/users/first', { password: 'p', tags: '' }), 201)
  await eventually('the line', () => partOf(/^user made/) !== undefined)
  assert.equal(partOf(/^user made/), 'http')
})

it('leaves out what is below the level of its part, from the next line on', async () => {
  await setLevels('http=error')
  assert.equal(await call('PUT', '/users/second', { password: 'p', tags: '' }), 201)
  await setLevels('http=info')
  assert.equal(await call('PUT', '/users/third', { password: 'p', tags: '' }), 201)
  await eventually('the line', () => /"user":"third".*"user made"/.test(broker.output))
  assert.doesNotMatch(broker.output, /"user":"second".*"user made"/)
})
