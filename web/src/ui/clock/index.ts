import { useEffect, useState } from 'react'

/** The current time, updated at an interval; `null` stops it. */
export function useNow(every_ms: number | null): number {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    if (every_ms === null) return
    setNow(Date.now())
    const timer = setInterval(() => setNow(Date.now()), every_ms)
    return () => clearInterval(timer)
  }, [every_ms])
  return now
}

/** Whether the condition has lasted for a while, so that short waits show nothing. */
export function useLasting(on: boolean, ms: number): boolean {
  const [lasting, setLasting] = useState(false)
  useEffect(() => {
    if (!on) return setLasting(false)
    const timer = setTimeout(() => setLasting(true), ms)
    return () => clearTimeout(timer)
  }, [on, ms])
  return on && lasting
}
