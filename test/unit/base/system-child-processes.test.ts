/** Programs that are really started, in what they are given. What becomes of orphans is in `orphans.test.ts`. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { SystemChildProcesses } from '../../../src/base/system-child-processes.ts'

describe('a child process', () => {
  const already = 'WARREN_TEST_SET_BY_THE_OPERATOR'
  process.env[already] = 'theirs'
  after(() => {
    delete process.env[already]
  })

  it('has what it is given in its environment, unless that is set there already', async () => {
    const line = await firstLine('echo "$WARREN_TEST_GIVEN $WARREN_TEST_SET_BY_THE_OPERATOR $HOME"', {
      WARREN_TEST_GIVEN: 'ours',
      [already]: 'ours',
    })
    assert.equal(line, `ours theirs ${process.env['HOME'] ?? ''}`)
  })
})

function firstLine(script: string, environment: Readonly<Record<string, string>>): Promise<string> {
  const orphan = { lifeMs: 0, claim: null, farewell: null, stopMsMax: 1_000 }
  const command = { program: '/bin/sh', args: ['-c', script], environment, orphan }
  return new Promise((resolve, reject) => {
    new SystemChildProcesses().start(command, { line: resolve, ended: ({ error }) => error !== null && reject(error) })
  })
}
