/** What is shipped for running a node safely: the unit of systemd, the containers, the words on how to report. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ExitCode } from '../../src/cli/exit-code.ts'
import { stopMsMax } from '../../src/cluster/nats/nats-process.ts'
import { natsVersionMin } from '../../src/cluster/nats/nats-program.ts'
import { defaultConfig } from '../../src/config.ts'
import { projectRoot } from '../support/project-root.ts'
import { hasCommands, leftOut, runProgram } from '../support/run-program.ts'

const read = (path: string): string => readFileSync(join(projectRoot, path), 'utf8')
const flags = '--disable-proto=delete --single-threaded-gc'

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
    assert.match(unit, new RegExp(`^ExecStart=/usr/bin/node ${flags} \\S+/warrenmq/dist/bin/warren.js serve$`, 'm'))
    // It would be the service's own, and writable.
    assert.doesNotMatch(unit, /^ConfigurationDirectory=/m)
  })

  it('lets a nats-server outlive its node, and be seen by the next start', () => {
    const unit = read('deploy/warren.service')
    assert.match(unit, /^KillMode=process$/m)
    assert.match(unit, /^OOMPolicy=continue$/m)
    // A process of another start's namespace of users is hidden, though it is the same user's.
    assert.doesNotMatch(unit, /^PrivateUsers=(?!no)/m)
  })

  it('gives a stop its time, and starts again but where somebody must mend something first', () => {
    const unit = read('deploy/warren.service')
    const stopSeconds = Number(/^TimeoutStopSec=(\d+)s$/m.exec(unit)?.[1])
    assert.ok(stopSeconds * 1_000 >= defaultConfig.drainMsMax + stopMsMax, `${stopSeconds} s`)
    const { usage, dataDirectory, address } = ExitCode
    assert.ok(unit.includes(`\nRestartPreventExitStatus=${usage} ${dataDirectory} ${address}\n`))
    assert.match(unit, /^StartLimitIntervalSec=0$/m)
    for (const [, seconds] of read('deploy/Dockerfile').matchAll(/--stop-timeout (\d+)/g)) {
      assert.equal(Number(seconds), stopSeconds)
    }
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
    const entry: unknown = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1] ?? 'null')
    assert.deepEqual(entry, ['node', ...flags.split(' '), 'dist/bin/warren.js'])
    const { port, httpPort } = defaultConfig
    assert.ok(dockerfile.includes(`\nEXPOSE ${port} ${httpPort}\n`))
    // What it copies is what the build makes, and all of it that runs.
    for (const name of ['src', 'bin', 'ui']) assert.ok(dockerfile.includes(`/build/dist/${name} ./dist/${name}`), name)
    assert.doesNotMatch(dockerfile, /^ADD |curl|latest/m)
  })

  it('has a health check that fails when nobody answers, or the node says that it stops', async () => {
    const command: unknown = JSON.parse(/^ {2}CMD (\[.*\])$/m.exec(read('deploy/Dockerfile'))?.[1] ?? 'null')
    assert.ok(Array.isArray(command))
    let status = 200
    const server = createServer((_, response) => response.writeHead(status).end())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const [, ...args] = command.map((word) => String(word).replace(String(defaultConfig.httpPort), String(port)))
    const check = async (): Promise<number | null> => (await runProgram(process.execPath, args)).status
    assert.ok(args.some((word) => word.includes(`127.0.0.1:${port}/health`)))
    assert.equal(await check(), 0)
    status = 503
    assert.equal(await check(), 1)
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    assert.equal(await check(), 1)
  })

  it('gives the builder what it builds from, and nothing else', () => {
    const [first, ...given] = read('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
    assert.equal(first, '*')
    const paths = given.map((line) => line.replace(/^!/, ''))
    assert.deepEqual(paths.toSorted(), [
      'LICENSE',
      'package-lock.json',
      'package.json',
      'scripts/*.mjs',
      'src',
      'tsconfig.json',
    ])
    for (const path of paths) assert.ok(existsSync(join(projectRoot, path.replace('*', 'build-ui'))), path)
    // What `npm run build` runs of ours.
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const named = `${scripts['build']} ${scripts['bundle']}`.match(/\b[\w/-]+\.(?:mjs|json)\b/g) ?? []
    assert.deepEqual(new Set(named), new Set(['tsconfig.json', 'scripts/build-ui.mjs']))
    for (const name of readdirSync(join(projectRoot, 'scripts')).filter((one) =>
      /^(build|pack|trim)-.*\.mjs$/.test(one),
    )) {
      for (const [, from] of read(`scripts/${name}`).matchAll(/^import .* from '(\.[^']*)'$/gm))
        assert.match(from ?? '', /^\.\/[\w-]+\.mjs$/)
    }
  })

  it('has a container for a node of a cluster, with a nats-server that is new enough', () => {
    const dockerfile = read('deploy/Dockerfile.cluster')
    assert.ok(dockerfile.includes(`\nARG NATS=nats:${natsVersionMin}\n`))
    const { clusterPort } = defaultConfig
    assert.ok(dockerfile.includes(`\nEXPOSE ${clusterPort} ${clusterPort + 1}\n`))
    assert.doesNotMatch(dockerfile, /^(USER|ADD) |latest/m)
  })

  it('says how to report a mistake in private', () => {
    assert.match(read('SECURITY.md'), /do not open a public issue.*Report a vulnerability/s)
  })
})
