import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isRefusalBy } from '../../../../src/cluster/link/connection-refused.ts'

function failure(code: string, address?: string): Error {
  return Object.assign(new Error(code), { code }, address === undefined ? {} : { address })
}

describe('a refusal', () => {
  it('is one by the address that counts', () => {
    assert.ok(isRefusalBy('10.0.0.5', failure('ECONNREFUSED', '10.0.0.5')))
    assert.ok(isRefusalBy('10.0.0.5', failure('ECONNREFUSED', '::ffff:10.0.0.5')))
    assert.ok(isRefusalBy('10.0.0.5', failure('ECONNREFUSED')))
    assert.ok(isRefusalBy(null, failure('ECONNREFUSED', '10.0.0.5')))
    assert.ok(!isRefusalBy('10.0.0.5', failure('ECONNREFUSED', '10.0.0.6')))
  })

  it('is no other failure', () => {
    for (const code of ['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ECONNRESET', 'ENOTFOUND']) {
      assert.ok(!isRefusalBy('10.0.0.5', failure(code, '10.0.0.5')), code)
    }
    assert.ok(!isRefusalBy('10.0.0.5', new Error('ECONNREFUSED')))
    assert.ok(!isRefusalBy('10.0.0.5', 'ECONNREFUSED'))
  })

  it('of a host name is one by all of its addresses', () => {
    const v6 = failure('ECONNREFUSED', '::1')
    const v4 = failure('ECONNREFUSED', '127.0.0.1')
    assert.ok(isRefusalBy('127.0.0.1', new AggregateError([v6, v4])))
    assert.ok(!isRefusalBy('127.0.0.1', new AggregateError([v6])))
    assert.ok(!isRefusalBy('127.0.0.1', new AggregateError([v6, failure('ETIMEDOUT', '127.0.0.1')])))
    assert.ok(!isRefusalBy('127.0.0.1', new AggregateError([failure('ETIMEDOUT', '::1'), v4])))
  })
})
