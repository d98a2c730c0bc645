/** What is shipped for running a node safely: the unit of systemd, the container, the words on how to report. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { projectRoot } from '../support/project-root.ts'
import { hasCommands, leftOut, runProgram } from '../support/run-program.ts'

const read = (path: string): string => readFileSync(join(projectRoot, path), 'utf8')

describe('deploy', () => {
  it('gives the service as little as it needs', () => {
    const unit = read('deploy/warren.service')
    for (const line of [
      'User=warren',
      'NoNewPrivileges=yes',
      'ProtectSystem=strict',
      'CapabilityBoundingSet=',
      'StateDirectoryMode=0700',
      'UMask=0077',
      'PrivateTmp=yes',
      'SystemCallFilter=@system-service',
      'ExecReload=/bin/kill -HUP $MAINPID',
    ]) {
      assert.ok(unit.split('\n').includes(line), line)
    }
    assert.match(unit, /^MemoryMax=/m)
    assert.match(unit, /^ExecStart=.*--disable-proto=delete/m)
  })

  if (hasCommands('systemd-analyze')) {
    it('has a unit that systemd understands and finds hardened', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'warren-unit-'))
      try {
        const path = join(folder, 'warren.service')
        // The programs it names need not be here.
        writeFileSync(path, read('deploy/warren.service').replace(/^ExecStart=.*$/m, 'ExecStart=/bin/true'))
        const verified = await runProgram('systemd-analyze', ['verify', path])
        assert.deepEqual([verified.status, verified.stderr], [0, ''])
        const { stdout } = await runProgram('systemd-analyze', ['security', '--offline=true', path])
        const exposure = Number(/Overall exposure level for \S+ ([\d.]+)/.exec(stdout)?.[1])
        assert.ok(exposure < 2, `${exposure} of 10`)
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    })
  } else leftOut('the unit of systemd', 'systemd-analyze')

  it('has a container that does not run as root and says whether it is healthy', () => {
    const dockerfile = read('deploy/Dockerfile')
    assert.match(dockerfile, /^USER (?!root|0)\S+$/m)
    assert.match(dockerfile, /^HEALTHCHECK /m)
    assert.match(dockerfile, /npm ci --ignore-scripts/)
    assert.match(read('.dockerignore'), /^node_modules$/m)
    // What it copies is what the build makes, and all of it that runs.
    for (const name of ['src', 'bin', 'ui']) assert.ok(dockerfile.includes(`/build/dist/${name} ./dist/${name}`), name)
    assert.doesNotMatch(dockerfile, /^ADD |curl|latest/m)
  })

  it('says how to report a mistake in private', () => {
    assert.match(read('SECURITY.md'), /do not open a public issue.*Report a vulnerability/s)
  })
})
