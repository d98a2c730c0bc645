import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { listGlobalParameters } from '../../../src/broker/global-parameters.ts'
import { topologyLimits as limits } from '../../../src/broker/topology/limits.ts'
import { BrokerHarness, refusal } from '../../support/broker-harness.ts'
import { durableDump } from '../../support/topology-dump.ts'

function shown({ topology }: BrokerHarness): Record<string, unknown> {
  return Object.fromEntries([...listGlobalParameters(topology)].map(({ name, value }) => [name, value]))
}

/** So many lists in one another. */
function nested(depth: number): unknown {
  return JSON.parse('['.repeat(depth) + ']'.repeat(depth))
}

function refused(name: string, text: string): (error: unknown) => boolean {
  return refusal('precondition-failed', `Validation failed\n\nglobal parameter '${name}': ${text}\n`)
}

describe('a global parameter', () => {
  it('holds any JSON value, until it gets another or is deleted', async () => {
    const harness = await BrokerHarness.open()
    const values = {
      object: { arguments: 'x', bytes: { fields: [] }, kind: 'removed', id: 1, v: 2 },
      list: [1, -0.5, 'caf\u00e9 \ud800', null, true, {}],
      none: null,
      empty: '',
    }
    for (const [name, value] of Object.entries(values)) await harness.broker.putGlobalParameter(name, value)
    assert.deepEqual(shown(harness), values)
    await harness.broker.putGlobalParameter('none', { a: 1 })
    await harness.broker.deleteGlobalParameter('empty')
    const { object, list } = values
    assert.deepEqual(shown(harness), { object, list, none: { a: 1 } })
    await assert.rejects(
      harness.broker.deleteGlobalParameter('empty'),
      refusal('not-found', "no global parameter 'empty'"),
    )
  })

  it('is there after a restart, as it was said last; what was deleted is not', async () => {
    const first = await BrokerHarness.open()
    await first.broker.putGlobalParameter('kept', { a: 1 })
    await first.broker.putGlobalParameter('kept', { a: [2, 'arguments'] })
    await first.broker.putGlobalParameter('gone', 'x')
    await first.broker.deleteGlobalParameter('gone')
    await first.broker.putGlobalParameter('cluster_name', 'shop')
    const again = await BrokerHarness.open(first.log.afterCrash())
    assert.deepEqual(shown(again), { kept: { a: [2, 'arguments'] }, cluster_name: 'shop' })
    assert.equal(again.topology.clusterName, 'shop')
    assert.deepEqual(durableDump(again.topology), durableDump(first.topology))
  })

  it('is not written again when it says the same', async () => {
    const harness = await BrokerHarness.open()
    await harness.broker.putGlobalParameter('p', { a: 1 })
    const { recordCount } = harness.log
    await harness.broker.putGlobalParameter('p', { a: 1 })
    assert.equal(harness.log.recordCount, recordCount)
    await harness.broker.putGlobalParameter('p', { a: 2 })
    assert.equal(harness.log.recordCount, recordCount + 1)
  })

  it('of the name cluster_name names the broker', async () => {
    const { broker, topology } = await BrokerHarness.open()
    assert.equal(topology.clusterName, null)
    await broker.putGlobalParameter('cluster_name', 'one')
    await broker.putGlobalParameter('cluster_name', 'two')
    assert.equal(topology.clusterName, 'two')
    await broker.deleteGlobalParameter('cluster_name')
    assert.equal(topology.clusterName, null)
  })

  it('is refused where it does not fit, and changes nothing', async () => {
    const harness = await BrokerHarness.open()
    await harness.broker.putGlobalParameter('there', 1)
    const before = durableDump(harness.topology)
    const { globalParameterBytesMax: bytesMax, globalParameterDepthMax: depthMax } = limits
    const deep = `its value has more than ${depthMax} lists and objects in one another`
    const inexact = 'it holds a number that cannot be kept exactly; write that as a text'
    const long = `its value is longer than ${bytesMax} bytes of JSON`
    const wrong: [name: string, value: unknown, text: string][] = [
      ['p', undefined, 'its value is missing'],
      ['p', nested(depthMax + 1), deep],
      ['p', nested(100_000), deep],
      ['p', [Number.POSITIVE_INFINITY], inexact],
      ['p', { a: 2 ** 53 }, inexact],
      ['p', 'x'.repeat(bytesMax - 1), long],
      ['p', 'é'.repeat(bytesMax / 2), long],
      ['cluster_name', 5, 'the name of a cluster has to be a text that is not empty'],
      ['cluster_name', '', 'the name of a cluster has to be a text that is not empty'],
      ['cluster_name', 'é'.repeat(128), 'its value is longer than 255 bytes'],
      ['cluster_name', 'a\nb', 'the name of a cluster may not contain control characters'],
    ]
    for (const [name, value, text] of wrong) {
      await assert.rejects(harness.broker.putGlobalParameter(name, value), refused(name, text))
    }
    const names: [name: string, text: string][] = [
      ['', 'a global parameter needs a name'],
      ['p'.repeat(256), 'global parameter name is longer than 255 bytes'],
      ['a\nb', 'global parameter name "a\\nb" contains control characters'],
    ]
    for (const [name, text] of names) {
      await assert.rejects(harness.broker.putGlobalParameter(name, 1), refusal('precondition-failed', text))
    }
    assert.deepEqual(durableDump(harness.topology), before)
    for (const [name, value] of [
      ['p'.repeat(255), nested(depthMax)],
      ['p', 'x'.repeat(bytesMax - 2)],
      ['cluster_name', 'é'.repeat(127)],
    ] as const) {
      await harness.broker.putGlobalParameter(name, value)
    }
  })

  it('is refused beyond so many, unless it is there', async () => {
    const { broker } = await BrokerHarness.open()
    const { globalParametersMax: max } = limits
    for (let index = 0; index < max; index++) await broker.putGlobalParameter(`p${index}`, index)
    const text = `cannot add global parameter: limit of global parameters (${max}) is reached`
    await assert.rejects(broker.putGlobalParameter('more', 1), refusal('precondition-failed', text))
    await broker.putGlobalParameter('p0', 'other')
    await broker.deleteGlobalParameter('p1')
    await broker.putGlobalParameter('more', 1)
  })
})
