import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ToldWebhook } from '../../../src/management/api/all-nodes/question.ts'
import { wholeOf } from '../../../src/management/api/all-nodes/webhooks-of-all.ts'

function told(state: ToldWebhook['state'], more: Partial<ToldWebhook> = {}): ToldWebhook {
  return {
    ...{ state, reason: null, messages_unacknowledged: 0, delivered: 0, failed: 0 },
    ...{ last_status: null, last_error: null, last_attempt_at: null, ...more },
  }
}

describe('what nodes tell of a webhook, put together', () => {
  it('has the state of the node that runs it', () => {
    const running = told('running', { messages_unacknowledged: 3 })
    const whole = wholeOf(
      [
        ['a', told('elsewhere')],
        ['b', running],
        ['c', told('elsewhere')],
      ],
      [],
    )
    assert.deepEqual([whole?.state, whole?.node, whole?.messages_unacknowledged], ['running', 'b', 3])
    const waits = told('waiting', { reason: 'the answer was 503, with retry-after' })
    const other = wholeOf(
      [
        ['a', waits],
        ['b', told('elsewhere')],
      ],
      ['c'],
    )
    assert.deepEqual([other?.state, other?.node, other?.reason], ['waiting', 'a', waits.reason])
  })

  it('has no node for what all say alike', () => {
    const missing = told('waiting', { reason: "there is no queue 'q'" })
    const whole = wholeOf(
      [
        ['a', missing],
        ['b', missing],
      ],
      [],
    )
    assert.deepEqual([whole?.state, whole?.node, whole?.reason], ['waiting', null, missing.reason])
    const off = told('disabled', { reason: 'its receiver has answered 410 Gone' })
    assert.deepEqual(
      wholeOf(
        [
          ['a', off],
          ['b', off],
        ],
        [],
      )?.node,
      null,
    )
  })

  it('adds up counts, and has the last attempt wherever it was', () => {
    const old = told('elsewhere', { delivered: 7, failed: 2, last_status: 500, last_error: 'no', last_attempt_at: 10 })
    const now = told('running', { delivered: 1, last_status: 200, last_attempt_at: 20 })
    const { delivered, failed, ...rest } =
      wholeOf(
        [
          ['a', old],
          ['b', now],
        ],
        [],
      ) ?? told('elsewhere')
    assert.deepEqual([delivered, failed], [8, 2])
    assert.deepEqual([rest.last_status, rest.last_error, rest.last_attempt_at], [200, null, 20])
  })

  it('says who does not answer where nobody runs it, or that nobody serves the queue', () => {
    const elsewhere = told('elsewhere')
    const silent = wholeOf([['a', elsewhere]], ['b', 'c'])
    assert.deepEqual([silent?.state, silent?.reason, silent?.node], ['elsewhere', 'no answer of b, c', null])
    const idle = wholeOf(
      [
        ['a', elsewhere],
        ['b', elsewhere],
      ],
      [],
    )
    assert.deepEqual([idle?.state, idle?.reason], ['waiting', 'no node serves its queue now'])
    assert.equal(wholeOf([], ['b']), null)
  })
})
