import type { ReactNode } from 'react'

/** Icons on a 16 px grid with 1.5 px strokes, in the text's colour. */
export const drawings = {
  approve: (
    <>
      <path d="M8 1.8 13 3.5v4.2c0 3-2 5.3-5 6.5-3-1.2-5-3.5-5-6.5V3.5z" />
      <path d="m5.7 8 1.6 1.6 3-3.2" />
    </>
  ),
  flow: (
    <>
      <rect x="1.8" y="2" width="5" height="4" rx="1" />
      <rect x="9.2" y="10" width="5" height="4" rx="1" />
      <path d="M4.3 6v4a2 2 0 0 0 2 2h2.9" />
    </>
  ),
  chat: (
    <>
      <path d="M2 3h12v8H7l-3 2.6V11H2z" />
    </>
  ),
  runs: (
    <>
      <path d="M1.8 8h2.7L6.5 3l3 10 2-5h2.7" />
    </>
  ),
  coins: (
    <>
      <ellipse cx="8" cy="4" rx="5.5" ry="2.2" />
      <path d="M2.5 4v4c0 1.2 2.5 2.2 5.5 2.2s5.5-1 5.5-2.2V4M2.5 8v4c0 1.2 2.5 2.2 5.5 2.2s5.5-1 5.5-2.2V8" />
    </>
  ),
  gear: (
    <>
      <path d="M2 4.5h7M12 4.5h2M2 11.5h2M7 11.5h7" />
      <circle cx="10.5" cy="4.5" r="1.6" />
      <circle cx="5.5" cy="11.5" r="1.6" />
    </>
  ),
  agent: (
    <>
      <path d="M8 1.8 9.5 6.5 14.2 8 9.5 9.5 8 14.2 6.5 9.5 1.8 8 6.5 6.5z" />
    </>
  ),
  tool: (
    <>
      <path d="M9.8 2.2a3.7 3.7 0 0 0-3.5 5L2.2 11.3a1.7 1.7 0 0 0 2.5 2.5l4.1-4.1a3.7 3.7 0 0 0 5-4.5L11.5 7.5 9 7 8.5 4.5z" />
    </>
  ),
  person: (
    <>
      <circle cx="8" cy="5" r="2.8" />
      <path d="M2.5 14c.5-3 2.7-4.5 5.5-4.5s5 1.5 5.5 4.5" />
    </>
  ),
  trigger: (
    <>
      <path d="M9 1.8 3.5 9H8l-1 5.2L12.5 7H8z" />
    </>
  ),
  switch: (
    <>
      <path d="M2 8h3l5-4.5h4M5 8l5 4.5h4M5 8h9" />
    </>
  ),
  cond: (
    <>
      <path d="M8 1.8 14.2 8 8 14.2 1.8 8z" />
    </>
  ),
  loop: (
    <>
      <path d="M12.8 6A5.2 5.2 0 0 0 3.5 5M3.2 10a5.2 5.2 0 0 0 9.3 1M3.5 2v3h3M12.5 14v-3h-3" />
    </>
  ),
  par: (
    <>
      <path d="M5 2.5v11M11 2.5v11" />
    </>
  ),
  merge: (
    <>
      <path d="M2 3h3l4 5h5M2 13h3l4-5" />
    </>
  ),
  wait: (
    <>
      <circle cx="8" cy="8" r="6" />
      <path d="M8 4.5V8l2.5 1.5" />
    </>
  ),
  sub: (
    <>
      <rect x="2" y="2" width="12" height="12" rx="2" />
      <rect x="5.5" y="5.5" width="5" height="5" rx="1" />
    </>
  ),
  data: (
    <>
      <path d="M5.5 2.5C4 2.5 4.5 7 2.5 8c2 1 1.5 5.5 3 5.5M10.5 2.5C12 2.5 11.5 7 13.5 8c-2 1-1.5 5.5-3 5.5" />
    </>
  ),
  end: (
    <>
      <circle cx="8" cy="8" r="6" />
      <rect x="6" y="6" width="4" height="4" fill="currentColor" />
    </>
  ),
  sink: (
    <>
      <path d="M2.5 8h8M7.5 4.5 11 8l-3.5 3.5M13.5 3v10" />
    </>
  ),
  undo: (
    <>
      <path d="M5.5 2.5 2.5 5.5l3 3M2.5 5.5h7a4 4 0 0 1 0 8H6" />
    </>
  ),
  redo: (
    <>
      <path d="m10.5 2.5 3 3-3 3M13.5 5.5h-7a4 4 0 0 0 0 8H10" />
    </>
  ),
  check: (
    <>
      <path d="m3 8.5 3.3 3.3L13 4.8" />
    </>
  ),
  ok: (
    <>
      <circle cx="8" cy="8" r="6" />
      <path d="m5.3 8.2 1.9 1.9 3.5-3.9" />
    </>
  ),
  x: (
    <>
      <path d="m4 4 8 8M12 4l-8 8" />
    </>
  ),
  err: (
    <>
      <circle cx="8" cy="8" r="6" />
      <path d="M8 4.8v3.7M8 11v.2" />
    </>
  ),
  warn: (
    <>
      <path d="M8 2.2 14.5 13.5h-13zM8 6.5v3.2M8 11.5v.2" />
    </>
  ),
  hold: (
    <>
      <circle cx="8" cy="8" r="6" strokeDasharray="2.5 2.2" />
      <circle cx="8" cy="8" r="2" fill="currentColor" />
    </>
  ),
  run: (
    <>
      <path d="M8 2a6 6 0 1 1-6 6" />
    </>
  ),
  skip: (
    <>
      <path d="M3.5 8h9" strokeDasharray="2 2.5" />
    </>
  ),
  play: (
    <>
      <path d="M4.5 2.8v10.4L13 8z" />
    </>
  ),
  pause: (
    <>
      <path d="M5 3v10M11 3v10" />
    </>
  ),
  search: (
    <>
      <circle cx="7" cy="7" r="4.5" />
      <path d="m10.5 10.5 3.5 3.5" />
    </>
  ),
  down: (
    <>
      <path d="m4 6 4 4 4-4" />
    </>
  ),
  right: (
    <>
      <path d="m6 4 4 4-4 4" />
    </>
  ),
  inbox: (
    <>
      <path d="M2.5 9.5 4 3.5h8l1.5 6v3h-11z" />
      <path d="M2.5 9.5h3l1 1.5h3l1-1.5h3" />
    </>
  ),
  left: (
    <>
      <path d="m10 4-4 4 4 4" />
    </>
  ),
  up: (
    <>
      <path d="m4 10 4-4 4 4" />
    </>
  ),
  plus: (
    <>
      <path d="M8 3v10M3 8h10" />
    </>
  ),
  minus: (
    <>
      <path d="M3 8h10" />
    </>
  ),
  dots: (
    <>
      <path d="M3.5 8h.01M8 8h.01M12.5 8h.01" strokeWidth="2.2" />
    </>
  ),
  fit: (
    <>
      <path d="M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10" />
    </>
  ),
  mail: (
    <>
      <rect x="1.8" y="3" width="12.4" height="10" rx="1.5" />
      <path d="m2 4.5 6 4.5 6-4.5" />
    </>
  ),
  globe: (
    <>
      <circle cx="8" cy="8" r="6" />
      <path d="M2 8h12M8 2c4 4 4 8 0 12M8 2c-4 4-4 8 0 12" />
    </>
  ),
  send: (
    <>
      <path d="M2 8 14 2.5 10 13.8 7.5 9z" />
    </>
  ),
  moon: (
    <>
      <path d="M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z" />
    </>
  ),
  lock: (
    <>
      <rect x="3" y="7" width="10" height="7" rx="1.5" />
      <path d="M5 7V5a3 3 0 0 1 6 0v2" />
    </>
  ),
  note: (
    <>
      <path d="M3 2.5h10v7L9.5 13H3zM9.5 13V9.5H13" />
    </>
  ),
  copy: (
    <>
      <rect x="5" y="5" width="9" height="9" rx="1.5" />
      <path d="M11 5V2.5H2V11h3" />
    </>
  ),
  swap: (
    <>
      <path d="M3 5.5h9.5L10 3M13 10.5H3.5L6 13" />
    </>
  ),
  filter: (
    <>
      <path d="M2 4h12M4.5 8h7M6.5 12h3" />
    </>
  ),
  sun: (
    <>
      <circle cx="8" cy="8" r="3" />
      <path d="M8 1.5V3M8 13v1.5M1.5 8H3M13 8h1.5M3.4 3.4l1 1M11.6 11.6l1 1M12.6 3.4l-1 1M4.4 11.6l-1 1" />
    </>
  ),
  out: (
    <>
      <path d="M9 2.5H3v11h6M6.5 8H14M11.5 5.5 14 8l-2.5 2.5" />
    </>
  ),
  keys: (
    <>
      <rect x="1.5" y="4" width="13" height="8.5" rx="1.5" />
      <path d="M4.5 7h.01M8 7h.01M11.5 7h.01M5 10h6" />
    </>
  ),
  cancelled: (
    <>
      <circle cx="8" cy="8" r="6" />
      <path d="m5.8 5.8 4.4 4.4M10.2 5.8l-4.4 4.4" />
    </>
  ),
  ring: (
    <>
      <circle cx="8" cy="8" r="6" />
    </>
  ),
} satisfies Record<string, ReactNode>

export type IconName = keyof typeof drawings

export function Icon({
  name,
  size = 16,
  className,
  label,
}: {
  name: IconName
  size?: 12 | 14 | 16 | 20
  className?: string | undefined
  label?: string
}) {
  return (
    <svg
      className={className}
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.5}
      strokeLinecap="round"
      strokeLinejoin="round"
      role={label ? 'img' : undefined}
      aria-label={label}
      aria-hidden={label ? undefined : true}
      focusable="false"
    >
      {drawings[name]}
    </svg>
  )
}
