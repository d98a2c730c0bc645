/** What stands around every page: where one is, who one is, how it looks, and what has just happened. */

import type { ComponentChildren, JSX } from 'preact'
import { logOut } from '../core/api.ts'
import { visible } from '../core/format.ts'
import { choose as chooseLanguage, type Key, language, t } from '../core/language.ts'
import { close, notice } from '../core/notices.ts'
import { choosePace, pace, paceOf, renewals } from '../core/pace.ts'
import { unanswered, usePoll } from '../core/poll.ts'
import { linkTo, place } from '../core/route.ts'
import { mayBe, user } from '../core/session.ts'
import { signal } from '../core/signal.ts'
import { choose as chooseTheme, type Theme, theme } from '../core/theme.ts'
import { vhost } from '../core/vhost.ts'
import { Alarms } from './alarms.tsx'
import { Name } from './name.tsx'

interface Entry {
  readonly page: string
  readonly name: Key
  readonly level?: 'policymaker' | 'monitoring' | 'administrator'
}

const groups: readonly (readonly [title: Key, entries: readonly Entry[]])[] = [
  [
    'navNow',
    [
      { page: '', name: 'overview' },
      { page: 'queues', name: 'queues' },
      { page: 'streams', name: 'streams' },
      { page: 'exchanges', name: 'exchanges' },
      { page: 'connections', name: 'connections' },
      { page: 'channels', name: 'channels' },
    ],
  ],
  [
    'navMessages',
    [
      { page: 'scheduled', name: 'scheduled' },
      { page: 'dead-letters', name: 'deadLetters' },
    ],
  ],
  [
    'navSettings',
    [
      { page: 'policies', name: 'policies', level: 'policymaker' },
      { page: 'parameters', name: 'parameters', level: 'policymaker' },
      { page: 'vhosts', name: 'vhosts', level: 'administrator' },
      { page: 'users', name: 'users', level: 'administrator' },
      { page: 'definitions', name: 'definitions', level: 'administrator' },
      { page: 'cluster', name: 'cluster', level: 'monitoring' },
    ],
  ],
]

const isMenuOpen = signal(false)

export function Shell({ children }: { children: ComponentChildren }): JSX.Element {
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById('main')?.focus()}>
        {t('skip')}
      </button>
      <div class="shell">
        <Side />
        <div>
          <Bar />
          <main id="main" tabIndex={-1}>
            {unanswered.value > 0 && (
              <p class="banner bad" role="alert">
                {t('cut')}
              </p>
            )}
            <Alarms />
            {children}
          </main>
        </div>
      </div>
      <Notices />
    </>
  )
}

export function Mark(): JSX.Element {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="#2c7257" />
      <path
        d="M7 24V16a4 4 0 0 1 8 0v4a2 2 0 0 0 4 0v-8a3.5 3.5 0 0 1 7 0v12"
        fill="none"
        stroke="#f3e6c8"
        stroke-width="3"
        stroke-linecap="round"
      />
    </svg>
  )
}

function Side(): JSX.Element {
  const here = place.value.names[0] ?? ''
  const isHere = (page: string): boolean => page === (singular[here] ?? here)
  return (
    <div class={`side ${isMenuOpen.value ? '' : 'shut'}`}>
      <div class="top">
        <a class="brand" href={linkTo([''])}>
          <Mark />
          Warren
        </a>
        <button
          type="button"
          class="menu-button"
          aria-expanded={isMenuOpen.value}
          onClick={() => {
            isMenuOpen.value = !isMenuOpen.value
          }}
        >
          {t('menu')}
        </button>
      </div>
      <nav aria-label={t('menu')}>
        {groups.map(([title, entries]) => {
          const shown = entries.filter(({ level }) => level === undefined || mayBe(level))
          if (shown.length === 0) return null
          return (
            <div key={title}>
              <p>{t(title)}</p>
              <ul>
                {shown.map(({ page, name }) => (
                  <li key={page}>
                    <a
                      href={linkTo([page])}
                      {...(isHere(page) ? { 'aria-current': 'page' as const } : {})}
                      onClick={() => {
                        isMenuOpen.value = false
                      }}
                    >
                      {t(name)}
                    </a>
                  </li>
                ))}
              </ul>
            </div>
          )
        })}
      </nav>
    </div>
  )
}

/** Pages of one thing, and the list they belong to. */
const singular: Readonly<Record<string, string>> = {
  queue: 'queues',
  stream: 'streams',
  exchange: 'exchanges',
  connection: 'connections',
  channel: 'channels',
  user: 'users',
  vhost: 'vhosts',
}

function Bar(): JSX.Element {
  return (
    <div class="bar">
      <div class="grow">
        <VhostChoice />
      </div>
      <PaceChoice />
      <label>
        <span class="hidden">{t('language')}</span>
        <select
          value={language.value}
          onChange={({ currentTarget }) => chooseLanguage(currentTarget.value === 'zh' ? 'zh' : 'en')}
        >
          <option value="en" lang="en">
            English
          </option>
          <option value="zh" lang="zh-CN">
            中文
          </option>
        </select>
      </label>
      <label>
        <span class="hidden">{t('theme')}</span>
        <select value={theme.value} onChange={({ currentTarget }) => chooseTheme(currentTarget.value as Theme)}>
          <option value="system">{t('themeSystem')}</option>
          <option value="light">{t('themeLight')}</option>
          <option value="dark">{t('themeDark')}</option>
        </select>
      </label>
      <span>
        <Name of={user.value?.name ?? ''} />
      </span>
      <button type="button" onClick={() => void logOut()}>
        {t('logOut')}
      </button>
    </div>
  )
}

function PaceChoice(): JSX.Element {
  return (
    <>
      {pace.value !== 'live' && (
        <button type="button" onClick={() => renewals.value++}>
          {t('refresh')}
        </button>
      )}
      <label>
        <span class="hidden">{t('refreshes')}</span>
        <select value={pace.value} onChange={({ currentTarget }) => choosePace(paceOf(currentTarget.value))}>
          <option value="live">{t('paceLive')}</option>
          <option value="slow">{t('paceSlow')}</option>
          <option value="paused">{t('pacePaused')}</option>
        </select>
      </label>
    </>
  )
}

function VhostChoice(): JSX.Element | null {
  const { data } = usePoll<readonly { name: string }[]>('/vhosts?columns=name', { everyMs: 30_000 })
  if (data === null || data.length < 2) return null
  return (
    <label>
      <span class="whole">{t('vhost')}</span>
      <select
        value={vhost.value ?? ''}
        onChange={({ currentTarget }) => {
          const { value, selectedIndex } = currentTarget
          vhost.value = selectedIndex === 0 ? null : value
        }}
      >
        <option value="">{t('allVhosts')}</option>
        {data.map(({ name }) => (
          <option key={name} value={name}>
            {visible(name)}
          </option>
        ))}
      </select>
      {/* What fields for the name of one propose. */}
      <datalist id="vhosts">
        {data.map(({ name }) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </label>
  )
}

function Notices(): JSX.Element {
  const shown = notice.value
  return (
    <div aria-live="polite" role="status">
      {shown !== null && (
        <div class={`notice fades ${shown.kind}`}>
          <span>{shown.text}</span>
          {shown.undo !== undefined && (
            <button type="button" onClick={shown.undo}>
              {t('undo')}
            </button>
          )}
          <button type="button" onClick={close}>
            {t('close')}
          </button>
        </div>
      )}
    </div>
  )
}
