import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { askAgain, asksMax } from '../../../../src/log/jetstream/ask-again.ts'

const late = (): Error => Object.assign(new Error('timeout'), { name: 'TimeoutError' })

describe('a question that changes nothing', () => {
  it('is asked again when it is not answered', async () => {
    let asked = 0
    const answer = await askAgain(async () => {
      if (++asked < asksMax) throw late()
      return 'here'
    })
    assert.equal(answer, 'here')
    assert.equal(asked, asksMax)
  })

  it('is given up at last, and at once when the answer is a refusal', async () => {
    let asked = 0
    const ask = (error: Error) => async (): Promise<never> => {
      asked++
      throw error
    }
    await assert.rejects(askAgain(ask(late())), /timeout/)
    assert.equal(asked, asksMax)
    await assert.rejects(askAgain(ask(new Error('stream not found'))), /not found/)
    assert.equal(asked, asksMax + 1)
  })
})
