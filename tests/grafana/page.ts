/**
 * A dashboard of Weir in Grafana's own types: the panels that are in use, each with its options, written as JSON has it.
 * Grafana's Panel leaves options open; here an unknown member of any of them is an error.
 */
import type {
  AnnotationQuery, Dashboard, DataSourceRef, FieldConfig, Panel, RowPanel, VariableModel,
} from "@grafana/schema";
import type * as heatmap from "./node_modules/@grafana/schema/dist/types/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen.d.ts";
import type * as stat from "./node_modules/@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen.d.ts";
import type * as statetimeline from "./node_modules/@grafana/schema/dist/types/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen.d.ts";
import type * as timeseries from "./node_modules/@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen.d.ts";

/** A query of Grafana's Prometheus plug-in, whose types are in no package that is small. */
interface Query {
  refId: string;
  expr: string;
  legendFormat: string;
  format?: "time_series" | "table" | "heatmap";
  instant?: boolean;
  range?: boolean;
}

interface Drawn<Type extends string, Options, Custom> extends Omit<Panel, "type" | "options" | "fieldConfig" | "targets"> {
  type: Type;
  title: string;
  description: string;
  id: number;
  datasource: DataSourceRef;
  options: Partial<Options>;
  fieldConfig: { defaults: Omit<FieldConfig, "custom"> & { custom?: Partial<Custom> }; overrides: [] };
  targets: Query[];
}

type AnyPanel =
  | RowPanel
  | Drawn<"timeseries", timeseries.Options, timeseries.FieldConfig>
  | Drawn<"stat", stat.Options, never>
  | Drawn<"state-timeline", statetimeline.Options, statetimeline.FieldConfig>
  | Drawn<"heatmap", heatmap.Options, heatmap.FieldConfig>;

/** The members of enumerations as JSON has them: their values. */
type Written<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends (infer Item)[]
      ? Written<Item>[]
      : T extends object
        ? { [Key in keyof T]: Written<T[Key]> }
        : T;

export type Page = Written<
  Omit<Dashboard, "panels" | "annotations" | "templating"> & {
    uid: string;
    panels: AnyPanel[];
    annotations: { list: AnnotationQuery<Query>[] };
    templating: { list: VariableModel[] };
  }
>;
