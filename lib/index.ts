/**
 * tracin-seg: train or bring a segmentation network, and ask which training regions pushed a prediction.
 *
 * Options objects, promises; long calls take `signal` and `onProgress`; every failure is a {@link TracinError} with a stable `code`.
 * Slices come as a {@link SliceSource}: {@link openDataset} for folders of images, {@link openArrays} for numpy files, or one of your own.
 * @packageDocumentation
 */
export { TracinError, type ErrorCode } from './errors';
export type { OnProgress, Progress } from './progress';

// Slices
export {
  describeLayout,
  openDataset,
  type CaseInfo,
  type DataLayout,
  type Dataset,
  type DatasetOptions,
  type Geometry,
} from './dataset/dataset';
export type { Affine } from './dataset/affine';
export type { Frame } from './dataset/frame';
export type { LayoutOptions } from './dataset/layouts';
export type { NamedClass } from './dataset/layouts/classes';
export type { LayoutName } from './dataset/layouts/layout';
export { matchModalities, type NamedModality } from './dataset/modalities';
export { readRegionMask, type RegionMask } from './dataset/region-mask';
export { openArrays, type ArraysOptions } from './dataset/arrays';
export type { SliceBatch, SliceCache, SliceId, SliceSource } from './dataset/slices';
export type { SliceChoice } from './dataset/slice-choice';
export type { Normalisation } from './dataset/normalisation';
export { readSplit, splitByPatient, type Split, type SplitCase, type SplitOptions } from './dataset/split';
export type { ScannerName } from './dataset/phantom/contrast';
export type { Fault } from './dataset/phantom/faults';
export { writePhantom, type Phantom, type PhantomCase, type PhantomOptions, type PlantedFault } from './dataset/phantom';

// Networks
export { inspectGraph, type InspectedNetwork, type Inspection, type InspectOptions, type OperatorCount } from './graph/inspect';
export { readOnnx } from './graph/onnx';
export { readNameMap, type NameMap } from './graph/state-dict';
export type { AttributeValue, ElementType, Graph, Node, Tensor, ValueInfo } from './graph/graph';
export { buildNetwork, buildNetworkInTurns, NETWORKS, type NetworkName, type NetworkOptions } from '../models/registry';

// Engines
export { listDevices, openEngine, type Device, type DeviceName, type EngineOptions } from './engine';
export type {
  Block,
  CallOptions,
  CompileOptions,
  ContractOptions,
  Engine,
  EngineName,
  Floats,
  KernelTable,
  Optimiser,
  Precision,
  Program,
  RegionBatch,
  RegionLoss,
  RegionNorms,
  TrainingBatch,
  TrainingLoss,
} from './engine/engine';
export type { Lowered, Parameter as NetworkParameter, ParameterKind } from './graph/lowered';

// Training and prediction
export { train } from './training/train';
export { openRun, type Run, type RunCheckpoint } from './training/run';
export type { Configuration as TrainingConfiguration, TrainingData, TrainOptions, ZooNetwork } from './training/options';
export type { EpochMetrics } from './training/metrics';
export { predict, type Prediction, type PredictOptions } from './inference/predict';
export type { CaseDice } from './inference/dice-table';
export type { Provider, ProviderChoice } from './inference/providers';

// Influence
export { computeInfluence, computeShard, planInfluence, type InfluenceOptions } from './influence/run';
export type { Shard } from './influence/shard';
export type { Role } from './influence/batches';
export type { RegionAxis, StudyFile } from './influence/folder';
export { openStudy, type Study, type WholeStudyOptions } from './influence/study';
export type { Definition, DefinitionOptions } from './influence/definition';
export type { FileSource, NetworkSource, StudyCheckpoint } from './influence/networks';
export type { PaintedRegions } from './influence/region-mask';
export type { InfluencePlan } from './influence/plan';
export type { PrecisionSample } from './influence/precision';
export { rank, type RankedRegion, type Ranking, type RankQuery, type Region } from './influence/ranking';
export type { Dominance } from './influence/dominance';
export type { Normalisation as ScoreNormalisation } from './influence/normalisation';

// Features of the last hidden layer
export { computeFeatures, type FeatureOptions } from './explanation/features';
export { readFeatures, type ClassFeatures, type Features } from './explanation/files';
export { splitByFeature } from './explanation/head-split';
export type { Similarity } from './explanation/similarity';

// A painted region, and which pixels an influence comes from
export { paintedInfluence, type PaintedOptions, type Way } from './explanation/painted';
export type { RegionInfluence } from './influence/normalisation';
export { computeMaps, pairMaps, type MapOptions, type MapPair, type MapView, type PairMap, type PairMapOptions } from './explanation/maps';
export { readMaps, type MapEntry } from './explanation/map-files';

// What can be claimed, and whose labels to look at
export { testFaithfulness, type Budget, type FaithfulnessOptions } from './faithfulness/run';
export type { SubjectOptions } from './faithfulness/subject';
export {
  readEvidence,
  type Faithfulness,
  type Part as FaithfulnessPart,
  type Skipped as FaithfulnessSkipped,
  type Tested as FaithfulnessTested,
} from './faithfulness/files';
export type { ClassCorrelation, Coefficient as CorrelationCoefficient } from './faithfulness/correlation';
export type { ClassAblation } from './faithfulness/ablation';
export type { RemovalRegion, RemovalResult } from './faithfulness/removal';
export type { DatamodelResult, Predictor as DatamodelPredictor } from './faithfulness/datamodel';
export { testStability, type StabilityOptions } from './faithfulness/stability';
export { readStability, type RegionStability, type Stability } from './faithfulness/stability-file';
export { readFindings, type AblationFindings, type Findings } from './faithfulness/findings';
export type { Claim } from './faithfulness/verdict';
export type { Estimate } from './faithfulness/estimate';
export { audit, type Audit, type AuditedPatient, type AuditOptions } from './faithfulness/audit';
export type { FoundBy, PlantedResult, ScoreResult as PlantedScore } from './faithfulness/planted';

// A page to read
export { mapPicture } from './report/map-picture';
export type { AskedSlice } from './report/choose';
export type { Mapped } from './report/slice-report';
export { buildReport, renderPage, type Report, type ReportOptions, type ReportSubject } from './report';
export type {
  AuditReport,
  CheckpointReport,
  ClassDominance,
  ClassInfluence,
  DiceReport,
  FeatureCurve,
  FeatureReport,
  InterpretativeMap,
  Missing as MissingPart,
  NetworkReport,
  PicturedMaps,
  PicturedRanking,
  PicturedRegion,
  RegionReport,
  SideReport,
  SliceReport,
} from './report/model';
export type { Edges as PictureEdges } from './report/orientation';
export type { Picture } from './report/picture';
