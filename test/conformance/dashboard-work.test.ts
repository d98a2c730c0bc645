/** What is done in the dashboard besides looking: users, policies, waiting messages and dead letters, in Chromium. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import amqplib from 'amqplib'
import { Broker } from '../../src/index.ts'
import { DashboardBrowser, fine, logIn, visit } from '../support/dashboard-browser.ts'
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
      await page.getByLabel('Configure').fill('^<img src=x onerror=alert(8)>')
      await page.getByRole('button', { name: 'Save' }).click()
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
      await page.getByRole('cell', { name: '{"max-length":5}' }).waitFor()
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
      await page.getByText('Sent back to work <b>').waitFor()
      const back = await channel.get('work <b>', { noAck: true })
      assert.equal(back === false ? null : back.content.toString(), '{"n":"mended"}')

      await page.getByRole('button', { name: 'Send all back' }).click()
      await page.getByRole('button', { name: 'Undo' }).click()
      await page.getByRole('row').filter({ hasText: 'work <b>' }).getByRole('button', { name: 'Send back' }).click()
      await page.getByText('4 sent back, 0 left out').waitFor({ timeout: 15_000 })
      assert.equal((await channel.checkQueue('work <b>')).messageCount, 4)
      assert.equal((await channel.checkQueue('failed')).messageCount, 2)
      await fine(page, 'dead-letters-sent')
      await page.close()
      await connection.close()
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
