/** What is done in the dashboard besides looking: users, policies, waiting messages and dead letters, in Chromium. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import amqplib from 'amqplib'
import { Broker } from '../../src/index.ts'
import { DashboardBrowser, fine, logIn, visit } from '../support/dashboard-browser.ts'
import { hostileNames, shownStart } from '../support/hostile-names.ts'
import { hasCommands, leftOut } from '../support/run-program.ts'

if (hasCommands('chromium')) inBrowser()
else leftOut('work in the dashboard in Chromium', 'chromium')

function inBrowser(): void {
  describe('in the dashboard', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'warren-dashboard-'))
    const broker = await Broker.start({ storage: { dir }, port: 0, httpPort: 0 })
    after(async () => {
      await broker.stop({ drainMs: 100 })
      rmSync(dir, { recursive: true, force: true })
    })
    const browser = new DashboardBrowser(broker.httpUrl)

    it('users are made, given rights, and see only what is theirs', async () => {
      const page = await browser.page('/users')
      await page.getByRole('button', { name: 'New user' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByLabel('Name', { exact: true }).fill('<b>eve</b>\u202e')
      await dialog.getByLabel('Password').fill('secret-of-eve')
      await dialog.getByLabel('Tags').fill('management')
      await fine(page, 'user-new')
      await dialog.getByRole('button', { name: 'Save' }).click()
      await page.getByRole('heading', { level: 1, name: '<b>eve</b>⟨202E⟩' }).waitFor()
      const rights = page.getByRole('region', { name: 'Rights', exact: true })
      await rights.getByLabel('Configure').fill('^<img src=x onerror=alert(8)>')
      await rights.getByRole('button', { name: 'Save' }).click()
      await page.getByRole('cell', { name: '^<img src=x onerror=alert(8)>' }).waitFor()
      await fine(page, 'user')
      await page.getByRole('button', { name: 'Log out' }).click()
      await logIn(page, '<b>eve</b>\u202e', 'secret-of-eve')
      await visit(page, '/')
      await page.getByText('All is well').waitFor()
      assert.equal(await page.getByRole('link', { name: 'Users & rights' }).count(), 0)
      await fine(page, 'overview-of-user')
      await page.close()
    })

    it('limits and webhooks are given, changed and taken away', async () => {
      const page = await browser.page('/parameters')
      const limits = page.getByRole('region', { name: 'Limits' })
      await limits.getByText('No limits.').waitFor()
      await limits.locator('select').selectOption('vhost max-queues')
      await limits.getByLabel('Name').fill('/')
      await limits.getByLabel('at most').fill('1234')
      await limits.getByRole('button', { name: 'Save' }).click()
      await limits.getByRole('row', { name: '/ Virtual host · max-queues 1,234' }).waitFor()
      await limits.getByLabel('Name').fill('nobody')
      await limits.getByRole('button', { name: 'Save' }).click()
      await limits.getByRole('alert').waitFor()
      const hooks = page.getByRole('region', { name: 'Webhooks' })
      await hooks.getByRole('button', { name: 'New webhook' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByLabel('Name', { exact: true }).fill('<b>hook</b>')
      const definition = { queue: 'not yet', url: 'https://127.0.0.1/<i>', secret: `whsec_${btoa('s'.repeat(32))}` }
      await dialog.getByLabel('Definition').fill(JSON.stringify(definition))
      await dialog.getByRole('button', { name: 'Save' }).click()
      await dialog.getByRole('alert').waitFor()
      await fine(page, 'webhook-refused')
      await dialog.getByRole('button', { name: 'Cancel' }).click()
      await limits.getByRole('button', { name: 'Take away' }).click()
      await limits.getByText('No limits.').waitFor()
      await fine(page, 'parameters')
      await page.close()
    })

    it('policies are made, changed and deleted', async () => {
      const page = await browser.page('/policies')
      await page.getByRole('button', { name: 'New policy' }).first().click()
      const dialog = page.getByRole('dialog')
      await dialog.getByLabel('Name', { exact: true }).fill('<u>short</u>')
      await dialog.getByLabel('Pattern').fill('^logs')
      await dialog.getByLabel('Definition').fill('{"max-length": "x"}')
      await dialog.getByRole('button', { name: 'Save' }).click()
      await dialog.getByRole('alert').waitFor()
      await dialog.getByLabel('Definition').fill('{"max-length": 5}')
      await dialog.getByRole('button', { name: 'Save' }).click()
      await page.getByRole('cell', { name: 'max-length 5' }).waitFor()
      await fine(page, 'policies')
      await page.getByRole('button', { name: 'Edit' }).click()
      await dialog.getByLabel('Priority').fill('9')
      await dialog.getByRole('button', { name: 'Save' }).click()
      await page.getByRole('cell', { name: '9', exact: true }).waitFor()
      await page.getByRole('button', { name: 'Delete' }).click()
      await dialog.getByRole('button', { name: 'Delete' }).click()
      await page.getByRole('cell').first().waitFor({ state: 'detached' })
      await page.close()
    })

    it('the node says how safe messages are', async () => {
      const page = await browser.page('/cluster')
      await page.getByText('No alarms.').waitFor()
      await page.getByText('synced, then confirmed').waitFor()
      await page.getByText('belongs to no cluster').waitFor()
      await fine(page, 'cluster')
      await page.close()
    })

    it('waiting messages get another time, or none', async () => {
      const { connection, channel } = await connected()
      await channel.assertQueue('later')
      for (const messageId of ['<i>one</i>', 'two/%2F']) {
        channel.sendToQueue('later', Buffer.from('x'), { messageId, headers: { 'x-delay': 3_600_000 } })
      }
      await channel.waitForConfirms()
      const page = await browser.page('/scheduled')
      await page.getByLabel('Choose a queue').last().fill('lat')
      await page.getByRole('link', { name: 'later' }).click()
      await page.getByText('in 59 min').first().waitFor()
      await fine(page, 'scheduled')
      const row = page.getByRole('row').filter({ hasText: 'two/%2F' })
      await row.getByRole('button', { name: 'Another time' }).click()
      await page.getByLabel('Due').fill('2030-01-02T03:04:05')
      await page.getByRole('button', { name: 'Save' }).click()
      await page.getByText('2030-01-02 03:04:05').waitFor()
      await row.getByRole('button', { name: 'Delete' }).click()
      await page.getByRole('button', { name: 'Undo' }).click()
      await page.getByRole('row').filter({ hasText: '<i>one</i>' }).getByRole('button', { name: 'Delete' }).click()
      await page.getByText('The message is deleted.').waitFor()
      await page.getByText('<i>one</i>').waitFor({ state: 'detached' })
      await row.waitFor()
      await page.close()
      await connection.close()
    })

    it('dead letters are grouped, mended and sent back, one or all', async () => {
      const { connection, channel } = await connected()
      const deadLettering = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'failed' }
      await channel.assertQueue('failed')
      await channel.assertQueue('work <b>', { arguments: deadLettering })
      await channel.assertQueue('short', { arguments: { ...deadLettering, 'x-max-length': 1 } })
      for (let n = 0; n < 5; n++) channel.sendToQueue('work <b>', Buffer.from(`{"n":${n}}`))
      for (let n = 0; n < 3; n++) channel.sendToQueue('short', Buffer.from('s'))
      await channel.waitForConfirms()
      for (let n = 0; n < 5; n++) {
        const message = await channel.get('work <b>')
        if (message !== false) channel.nack(message, false, false)
      }
      const page = await browser.page('/dead-letters/%2F/failed')
      await page.getByRole('row').filter({ hasText: 'work <b>' }).getByText('rejected').waitFor()
      await page.getByRole('row').filter({ hasText: 'short' }).getByText('maxlen').waitFor()
      await fine(page, 'dead-letters')

      const first = page.getByRole('article').filter({ hasText: '"n": 0' })
      await first.getByRole('button', { name: 'Edit' }).click()
      await page.getByRole('dialog').getByLabel('Payload').fill('{"n":"mended"}')
      await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
      const mended = page.getByRole('article').filter({ hasText: '"n": "mended"' })
      await mended.getByRole('button', { name: 'Send back' }).click()
      await page.getByText('1 sent back, 0 left out').waitFor()
      const back = await channel.get('work <b>', { noAck: true })
      assert.equal(back === false ? null : back.content.toString(), '{"n":"mended"}')

      await page.getByRole('row').filter({ hasText: 'work <b>' }).getByRole('button', { name: 'Send back' }).click()
      await page.getByText('4 sent back, 0 left out').waitFor()
      assert.equal((await channel.checkQueue('work <b>')).messageCount, 4)
      assert.equal((await channel.checkQueue('failed')).messageCount, 2)
      await fine(page, 'dead-letters-sent')

      await channel.get('work <b>', { noAck: true })
      await page.getByRole('button', { name: 'Undo' }).click()
      await page.getByText('Undone 3 of 4. Already taken: 1.').waitFor()
      await fine(page, 'dead-letters-undone')
      assert.equal((await channel.checkQueue('work <b>')).messageCount, 0)
      assert.equal((await channel.checkQueue('failed')).messageCount, 5)
      await page.close()
      await connection.close()
    })

    it('dead letters of all queues are found, whatever their names are, and sent back', async () => {
      const { connection, channel } = await connected()
      for (const name of hostileNames.slice(0, 6)) {
        await channel.assertQueue(`dead ${name}`.slice(0, 80))
        const target = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': `dead ${name}`.slice(0, 80) }
        await channel.assertQueue(name, { arguments: target })
        for (let n = 0; n < 3; n++) channel.sendToQueue(name, Buffer.from(`${n}`))
        await channel.waitForConfirms()
        for (let n = 0; n < 3; n++) {
          const message = await channel.get(name)
          if (message !== false) channel.nack(message, false, false)
        }
      }
      const page = await browser.page('/dead-letters')
      for (const name of hostileNames.slice(0, 6)) {
        await page
          .getByRole('rowheader')
          .getByText(`dead ${shownStart(name)}`.slice(0, 60))
          .first()
          .waitFor()
      }
      await fine(page, 'dead-letters-all')
      await page.setViewportSize({ width: 360, height: 740 })
      await fine(page, 'dead-letters-all-phone')
      await page.setViewportSize({ width: 1280, height: 800 })
      const row = page.getByRole('row').filter({ hasText: `dead ${shownStart(hostileNames[0] ?? '')}` })
      await row.getByRole('button', { name: 'Send back' }).click()
      await page.getByText('3 sent back, 0 left out').waitFor()
      assert.equal((await channel.checkQueue(hostileNames[0] ?? '')).messageCount, 3)
      await page.close()
      await connection.close()
    })

    it('virtual hosts are made, limited and deleted', async () => {
      const page = await browser.page('/vhosts', { isDark: true })
      const name = '<b>shop</b>/\u202e'
      await page.getByRole('button', { name: 'New virtual host' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByLabel('Name', { exact: true }).fill(name)
      await dialog.getByLabel('Description').fill('<i>a</i>')
      await fine(page, 'vhost-new')
      await dialog.getByRole('button', { name: 'Create' }).click()
      await page.getByRole('heading', { level: 1, name: '<b>shop</b>/⟨202E⟩' }).waitFor()
      await page.getByText('<i>a</i>').waitFor()
      await page.locator('select[name=name]').selectOption('max-queues')
      await page.getByLabel('at most').fill('1234')
      await page.getByRole('button', { name: 'Save' }).click()
      await page.getByRole('cell', { name: '1,234' }).waitFor()
      await page.getByRole('link', { name: 'guest' }).waitFor()
      await fine(page, 'vhost')
      await page.getByRole('button', { name: 'Take away' }).click()
      await page.getByText('No limits.').waitFor()
      await page.getByRole('button', { name: 'Delete' }).click()
      await dialog.getByRole('button', { name: 'Delete' }).click()
      await page.getByRole('heading', { level: 1, name: 'Virtual hosts' }).waitFor()
      await fine(page, 'vhosts')
      await page.close()
    })

    it('users get topic rights and limits', async () => {
      await fetch(new URL('/api/users/topics', broker.httpUrl), {
        method: 'PUT',
        headers: { authorization: `Basic ${btoa('guest:guest')}` },
        body: '{"password":"x","tags":""}',
      })
      const page = await browser.page('/user/topics')
      const topics = page.getByRole('region', { name: 'Topic rights' })
      await topics.getByLabel('Write').fill('^<img src=x onerror=alert(9)>')
      await topics.getByRole('button', { name: 'Save' }).click()
      await topics.getByRole('cell', { name: '^<img src=x onerror=alert(9)>' }).waitFor()
      const limits = page.getByRole('region', { name: 'Limits' })
      await limits.getByLabel('at most').fill('-5')
      await limits.getByRole('button', { name: 'Save' }).click()
      await limits.getByLabel('at most').fill('7')
      await limits.getByRole('button', { name: 'Save' }).click()
      await limits.getByRole('cell', { name: '7', exact: true }).waitFor()
      await fine(page, 'user-topics')
      await page.setViewportSize({ width: 360, height: 740 })
      await fine(page, 'user-topics-phone')
      await topics.getByRole('button', { name: 'Take away' }).click()
      await page.getByRole('dialog').getByRole('button', { name: 'Take away' }).click()
      await topics.getByRole('cell').first().waitFor({ state: 'detached' })
      await page.close()
    })

    it('definitions go out as a file and come in from one', async () => {
      const page = await browser.page('/definitions')
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('button', { name: 'Download' }).click(),
      ])
      const exported = JSON.parse(readFileSync(await download.path(), 'utf8')) as { users: unknown[] }
      assert.equal(download.suggestedFilename(), 'warren-definitions.json')
      assert(exported.users.length > 0)
      const upload = async (name: string, text: string): Promise<void> => {
        await page.getByLabel('File').setInputFiles({ name, mimeType: 'application/json', buffer: Buffer.from(text) })
        await page.getByRole('button', { name: 'Import' }).click()
      }
      await upload('no.json', '{"queues": [{"name": 5}]}')
      await page.getByRole('alert').waitFor()
      await fine(page, 'definitions-refused')
      const queues = [1, 2, 3].map((n) => ({
        name: `in ${n}`,
        vhost: '/',
        durable: true,
        auto_delete: false,
        arguments: {},
      }))
      await upload('<b>in</b>.json', JSON.stringify({ queues }))
      await page.getByText('<b>in</b>.json').waitFor()
      await page.getByRole('definition').getByText('3', { exact: true }).waitFor()
      await fine(page, 'definitions')
      await page.close()
    })

    it('streams tell their offsets, and how far behind their readers are', async () => {
      const { connection, channel } = await connected()
      await channel.assertQueue('events <i>', { arguments: { 'x-queue-type': 'stream' } })
      for (let n = 0; n < 25; n++) channel.sendToQueue('events <i>', Buffer.from(String(n)))
      await channel.waitForConfirms()
      await channel.prefetch(10)
      const took = new Promise<void>((resolve) => {
        let count = 0
        void channel.consume('events <i>', () => ++count === 10 && resolve(), {
          consumerTag: 'slow <b>',
          arguments: { 'x-stream-offset': 'first' },
        })
      })
      await took
      const page = await browser.page('/streams')
      const row = page.getByRole('row').filter({ hasText: 'events <i>' })
      await row.getByRole('cell', { name: '15', exact: true }).waitFor()
      await page.getByText('1–1 of 1').waitFor()
      await fine(page, 'streams')
      await page.getByRole('link', { name: 'events <i>' }).click()
      await page.getByText('Stored from offset 0; the next message gets 25.').waitFor()
      await page.getByRole('rowheader').getByText('slow <b>').first().waitFor()
      await fine(page, 'stream')
      await page.close()
      await connection.close()
    })

    async function connected() {
      const connection = await amqplib.connect(broker.url)
      return { connection, channel: await connection.createConfirmChannel() }
    }
  })
}
