/** docs/command-line.md is true: its transcript is typed into a shell, its tables are compared with the program. */
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ExitCode } from '../../src/cli/exit-code.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { blocks } from '../support/documents.ts'
import { freePort } from '../support/ports.ts'
import { projectRoot } from '../support/project-root.ts'
import { runProgram } from '../support/run-program.ts'
import { runWarren, warrenMain } from '../support/warren-command.ts'

const text = readFileSync(join(projectRoot, 'docs/command-line.md'), 'utf8')

describe('docs/command-line.md', () => {
  it('shows commands that print what it says', async (test) => {
    const port = await freePort()
    const broker = await BrokerProcess.start({ env: { WARREN_HTTP_PORT: String(port) } })
    const directory = mkdtempSync(join(tmpdir(), 'warren-cli-docs-'))
    test.after(async () => {
      await broker.stop()
      rmSync(directory, { recursive: true, force: true })
    })
    if (broker.isExternal) return test.diagnostic('the transcript needs a broker with nothing in it')
    const command = join(directory, 'warren')
    writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${warrenMain}' "$@"\n`)
    chmodSync(command, 0o755)
    const env = {
      PATH: `${directory}:${process.env['PATH']}`,
      WARREN_URL: broker.url,
      WARREN_HTTP: `http://127.0.0.1:${port}`,
    }
    const steps = blocks(text, 'console').flatMap((block) => block.split(/^\$ /m).slice(1))
    assert.ok(steps.length >= 9)
    for (const step of steps) {
      const [line = '', ...printed] = step.split('\n')
      const { stdout } = await runProgram('bash', ['-c', `{ ${line}\n} 2>&1`], { env })
      assert.equal(`$ ${line}\n${stdout}`, `$ ${line}\n${printed.join('\n')}`)
    }
  })

  it('lists every exit code, and no other', () => {
    const listed = Array.from(text.matchAll(/^\| (\d+) \|/gm), ([, code]) => Number(code))
    assert.deepEqual(listed, Object.values(ExitCode))
  })

  it('lists the commands that `warren --help` lists', async () => {
    const { stdout } = await runWarren(['--help'])
    const commands = Array.from(stdout.matchAll(/^ {2}([a-z]+)(?= |$)/gm), ([, name]) => name).filter(
      (name) => name !== 'help',
    )
    const table = text.slice(0, text.indexOf('`warren COMMAND --help`'))
    const listed = Array.from(table.matchAll(/`([a-z]+)`(?=[,` a-z]*\|)/g), ([, name]) => name)
    assert.deepEqual([...listed].sort(), [...commands].sort())
  })
})
