import type { Engine, Program } from '../../../lib/engine/engine';

/** The same engine, telling before every call of a program's method which one it is; what `onCall` throws is thrown by the call. */
export function watched(engine: Engine, onCall: (method: string) => void): Engine {
  return {
    ...engine,
    async compile(graph, options) {
      const program = await engine.compile(graph, options);
      return new Proxy(program, {
        get(target, key) {
          const value = target[key as keyof Program] as unknown;
          if (typeof value !== 'function') return value;
          return (...words: unknown[]): unknown => {
            onCall(String(key));
            return value.apply(target, words) as unknown;
          };
        },
      });
    },
  };
}
