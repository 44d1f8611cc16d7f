import { useEffect, useState } from 'react'

/** The time, told anew every so often; `null` stands still. */
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

/** Whether it has been so for a while: nothing is shown for what is over at once. */
export function useLasting(on: boolean, ms: number): boolean {
  const [lasting, setLasting] = useState(false)
  useEffect(() => {
    if (!on) return setLasting(false)
    const timer = setTimeout(() => setLasting(true), ms)
    return () => clearTimeout(timer)
  }, [on, ms])
  return on && lasting
}
