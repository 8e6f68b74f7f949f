/** Where the nodes of a session ran, from the profile that onnxruntime writes of its first run. */

export interface Placement {
  /** Nodes that ran on the provider. */
  readonly there: number;
  /** Nodes that ran elsewhere, and their operators in order of first use. */
  readonly elsewhere: number;
  readonly operators: readonly string[];
}

interface Event {
  readonly cat?: string;
  readonly name?: string;
  readonly args?: { readonly provider?: string; readonly op_name?: string };
}

/** @param profile the file's text; @param provider as onnxruntime-node names it, e.g. `cuda` */
export function readPlacement(profile: string, provider: string): Placement {
  const ran = (JSON.parse(profile) as Event[]).flatMap(({ cat, args }) =>
    cat === 'Node' && args?.provider !== undefined ? [{ ...args, provider: args.provider }] : [],
  );
  const elsewhere = ran.filter((node) => node.provider.toLowerCase() !== `${provider}executionprovider`);
  return {
    there: ran.length - elsewhere.length,
    elsewhere: elsewhere.length,
    operators: [...new Set(elsewhere.map(({ op_name: name }) => name ?? 'unknown'))],
  };
}
