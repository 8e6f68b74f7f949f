/** An onnxruntime session in a thread of its own, as the rest of the package calls it. */
import { WorkerThread } from '../worker-thread';
import type { OpenArgument, OpenResult, RunArgument } from './session-worker';

export interface Session extends OpenResult {
  /** What a person should know; grows with the first run where some nodes run elsewhere. */
  readonly notes: readonly string[];
  run<T extends Float32Array | Uint8Array>(argument: RunArgument, signal?: AbortSignal): Promise<T>;
  /** Lets the run in flight finish; ending the thread within one would end the process. */
  close(): Promise<void>;
}

/** @throws ERR_TRACIN_ENGINE, ERR_TRACIN_GRAPH as the worker says */
export async function openSession(argument: OpenArgument): Promise<Session> {
  const worker = new WorkerThread('inference/session-worker');
  try {
    const opened = await worker.call<OpenResult>('open', argument);
    const notes: string[] = [];
    let told = !opened.mixed;
    return {
      ...opened,
      notes,
      async run(run, signal) {
        const answer = await worker.call<never>('run', run, { signal });
        if (!told) {
          told = true;
          notes.push(await worker.call<string>('placement', undefined));
        }
        return answer;
      },
      async close() {
        await worker.call('close', undefined);
        await worker.close();
      },
    };
  } catch (error) {
    await worker.close();
    throw error;
  }
}
