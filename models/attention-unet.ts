import type { Feature, GraphBuilder } from '../lib/graph/builder';
import { channelsAt, decoder, doubleConvolution, encoder, head, type NetworkSize } from './blocks';

/**
 * Additive attention gate (Oktay et al. 2018, eq. 1 and 2): α = σ(ψᵀ ReLU(θ x + φ g)), computed on the grid of the gating signal g,
 * which is half that of the skip x, and brought back to x by linear interpolation.
 */
function attentionGate(b: GraphBuilder, name: string, skip: Feature, gating: Feature): Feature {
  const channels = Math.ceil(skip.channels / 2);
  const theta = b.conv(`${name}.theta`, skip, { channels, kernel: 2, stride: 2, bias: false });
  const phi = b.conv(`${name}.phi`, gating, { channels, kernel: 1 });
  const joint = b.relu(`${name}.relu`, b.add(`${name}.add`, theta, phi));
  const alpha = b.sigmoid(`${name}.sigmoid`, b.conv(`${name}.psi`, joint, { channels: 1, kernel: 1 }));
  const gated = b.mul(`${name}.mul`, skip, b.upsample(`${name}.upsample`, alpha, 2, 'linear'));
  return b.batchNormalization(`${name}.norm`, b.conv(`${name}.output`, gated, { channels: skip.channels, kernel: 1, bias: false }));
}

/**
 * Attention U-Net (Oktay et al. 2018): a U-Net whose skips pass additive attention gates, gated by the level below. All of them do, also the
 * finest, which the paper leaves as it is.
 * 64 to 1024 channels on 5 levels, 4 modalities, 4 classes: 32 433 928 parameters.
 */
export function attentionUnet(b: GraphBuilder, size: NetworkSize): Feature {
  const features = decoder(encoder(b, size), (name, below, skip, level) => {
    const channels = channelsAt(size, level);
    const gated = attentionGate(b, `${name}.gate`, skip, below);
    const up = b.convTranspose(`${name}.up`, below, { channels, stride: 2 });
    return doubleConvolution(b, name, b.concat(`${name}.concat`, [gated, up]), channels);
  });
  return head(b, features, size);
}
