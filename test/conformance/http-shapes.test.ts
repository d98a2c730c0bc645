/**
 * The fields of the management API beside those of RabbitMQ 3.10, which were recorded from Debian's rabbitmq-server: what
 * it has and we have not is listed with a reason, and nothing else is missing.
 *
 * With WARREN_TEST_RABBITMQ_HTTP and WARREN_TEST_RABBITMQ_AMQP (http://localhost:15672, amqp://guest:guest@localhost) the
 * recording itself is compared with that broker.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, it, test } from 'node:test'
import { Broker } from '../../src/index.ts'
import { type Shapes, shapesOf } from '../support/http-shapes.ts'
import { projectRoot } from '../support/project-root.ts'

const folder = join(projectRoot, 'test/conformance')
const recorded = JSON.parse(readFileSync(join(folder, 'rabbitmq-3.10-http-shapes.json'), 'utf8')) as Shapes
/** Regular expressions of what is missing (`GET /path .field`), with the reason. */
const reasons = JSON.parse(readFileSync(join(folder, 'rabbitmq-3.10-http-differences.json'), 'utf8')) as Readonly<
  Record<string, string>
>

const broker = await Broker.start({ storage: 'memory', port: 0, httpPort: 0 })
after(() => broker.stop({ drainMs: 100 }))
const ours = await shapesOf(targetOf(broker.httpUrl, broker.url))
const patterns = Object.keys(reasons).map((text) => ({ text, pattern: new RegExp(`^${text}$`) }))
const used = new Set<string>()

function targetOf(http: string, amqp: string): { http: string; amqp: string } {
  return { http: http.replace(/\/$/, ''), amqp: amqp.replace(/(\/|\/%2F)$/, '') }
}

/** Path to type; what may be null is of the other type. */
function typesOf(lines: readonly string[]): Map<string, string> {
  const types = new Map<string, string>()
  for (const line of lines) {
    const at = line.lastIndexOf(': ')
    const [path, type] = [line.slice(0, at), line.slice(at + 2)]
    if (type !== 'null' || !types.has(path)) types.set(path, type)
  }
  return types
}

function missingOf(request: string): string[] {
  const mine = typesOf(ours[request] ?? [])
  const missing: string[] = []
  for (const [path, type] of typesOf(recorded[request] ?? [])) {
    const own = mine.get(path)
    const fits = own === type || (own !== undefined && (own === 'null' || type === 'null'))
    if (!fits) missing.push(`${request} ${path}${own === undefined ? '' : ` (${own}, not ${type})`}`)
  }
  return missing
}

describe('what RabbitMQ answers', () => {
  for (const request of Object.keys(recorded)) {
    it(request, () => {
      const unexplained = missingOf(request).filter((missing) => {
        const known = patterns.filter(({ pattern }) => pattern.test(missing))
        for (const { text } of known) used.add(text)
        return known.length === 0
      })
      assert.deepEqual(unexplained, [])
    })
  }

  it('is not said to be missing when it is there', () => {
    assert.deepEqual(
      patterns.filter(({ text }) => !used.has(text)).map(({ text }) => text),
      [],
    )
  })
})

const [http, amqp] = [process.env['WARREN_TEST_RABBITMQ_HTTP'], process.env['WARREN_TEST_RABBITMQ_AMQP']]
if (http !== undefined && amqp !== undefined) {
  void test('the recording is what RabbitMQ answers', async () => {
    assert.deepEqual(await shapesOf(targetOf(http, amqp)), recorded)
  })
}
