import { type RefObject, useCallback, useLayoutEffect, useState } from 'react'

/** Rows rendered above and below the visible ones, for fast scrolling. */
const spare = 12

export interface Window {
  from: number
  to: number
}

/** Windowing for rows of equal height: the range to render, and a function that scrolls to a row. */
export function useWindow(box: RefObject<HTMLElement | null>, count: number, height: number, top: number) {
  const [shown, setShown] = useState<Window>({ from: 0, to: 40 })
  const measure = useCallback(() => {
    const at = box.current
    if (!at) return
    const from = Math.max(0, Math.floor((at.scrollTop - top) / height) - spare)
    const to = Math.ceil((at.scrollTop + at.clientHeight) / height) + spare
    // Render again only when the range changes.
    setShown((old) => (Math.abs(old.from - from) < spare / 2 && Math.abs(old.to - to) < spare / 2 ? old : { from, to }))
  }, [box, height, top])
  useLayoutEffect(() => {
    const at = box.current
    if (!at) return
    measure()
    at.addEventListener('scroll', measure, { passive: true })
    const sizes = typeof ResizeObserver === 'undefined' ? null : new ResizeObserver(measure)
    sizes?.observe(at)
    return () => {
      at.removeEventListener('scroll', measure)
      sizes?.disconnect()
    }
  }, [box, measure])
  const reveal = (row: number) => {
    const at = box.current
    if (!at) return
    const y = row * height
    if (y < at.scrollTop) at.scrollTop = y
    else if (y + height + top > at.scrollTop + at.clientHeight) at.scrollTop = y + height + top - at.clientHeight
    measure()
  }
  return { from: Math.min(shown.from, Math.max(0, count - 1)), to: Math.min(shown.to, count), reveal }
}
