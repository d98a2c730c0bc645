/** The frame of a page and of its parts. */
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { ApiFailure } from '../core/api.ts'
import { type Key, t } from '../core/language.ts'
import { sentenceOf } from '../core/notices.ts'

interface HeadProps {
  readonly title: ComponentChildren
  /** Of the browser's tab. */
  readonly plain: string
  readonly crumbs?: ComponentChildren
  readonly chips?: ComponentChildren
  readonly children?: ComponentChildren
}

/** A page's heading, with what can be done on its right. A new page has the focus here, so that it is read out. */
export function Head({ title, plain, crumbs, chips, children }: HeadProps): JSX.Element {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    document.title = `${plain} · Warren`
    if (document.activeElement === document.body || document.activeElement?.closest('nav') !== null) {
      heading.current?.focus({ preventScroll: true })
    }
    scrollTo(0, 0)
  }, [plain])
  return (
    <div class="head">
      {crumbs !== undefined && <div class="crumbs">{crumbs}</div>}
      <h1 tabIndex={-1} ref={heading}>
        {title}
      </h1>
      {chips}
      {children !== undefined && <div class="does">{children}</div>}
    </div>
  )
}

interface CardProps {
  readonly title: Key
  readonly more?: ComponentChildren
  readonly children: ComponentChildren
}

export function Card({ title, more, children }: CardProps): JSX.Element {
  return (
    <section class="card" aria-label={t(title)}>
      <header>
        <h2>{t(title)}</h2>
        {more}
      </header>
      {children}
    </section>
  )
}

/** Shut until somebody wants it; what is in it is made when it is opened. */
export function Drawer({ title, children }: Omit<CardProps, 'more'>): JSX.Element {
  const [isOpen, setOpen] = useState(false)
  return (
    <details class="card" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>{t(title)}</summary>
      {isOpen && children}
    </details>
  )
}

export type Fact = readonly [name: ComponentChildren, value: ComponentChildren]

export function Facts({ of }: { of: readonly Fact[] }): JSX.Element {
  return (
    <dl class="facts">
      {of.map(([name, value], index) => [<dt key={`t${index}`}>{name}</dt>, <dd key={`d${index}`}>{value}</dd>])}
    </dl>
  )
}

/** Stands where data will be, or says why there is none. */
export function Waiting({ failure }: { failure: ApiFailure | null }): JSX.Element {
  if (failure === null) return <p class="muted">{t('loading')}</p>
  return (
    <p class="banner bad" role="alert">
      {sentenceOf(failure)}
    </p>
  )
}

export function Chip({ kind = '', children }: { kind?: string; children: ComponentChildren }): JSX.Element {
  return <span class={`chip ${kind}`}>{children}</span>
}
