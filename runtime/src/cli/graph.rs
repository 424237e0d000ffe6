//! `tidegate graph CONFIG`: the routing of a configuration as a picture, for Mermaid or Graphviz. Nothing is contacted.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Failure;
use crate::config::{Config, Pipeline, Select, Slice, Values};

#[derive(Debug, Args)]
pub struct GraphArgs {
    /// The configuration, YAML
    config: PathBuf,
    /// The language of the picture
    #[arg(long, value_enum, default_value = "mermaid")]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Mermaid,
    Dot,
}

pub fn graph(args: &GraphArgs) -> Result<(), Failure> {
    let (config, _) = Config::read_where_secrets_may_be_missing(&args.config)?;
    for line in Graph::of(&config).draw(args.format) {
        println!("{line}");
    }
    Ok(())
}

/// What there is, and what goes from one to another.
#[derive(Default)]
struct Graph {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

#[derive(PartialEq)]
struct Node {
    kind: Kind,
    lines: Vec<String>,
}

#[derive(PartialEq)]
enum Kind {
    Topic,
    Pipeline,
    Storage,
    Table { cluster: String },
}

/// Nodes by their places among the nodes.
struct Edge {
    from: usize,
    to: usize,
    label: Option<String>,
    way: Way,
}

enum Way {
    /// From topics to tables.
    Main,
    /// What is said beside it: commit log, replacements, dead letters, control.
    Side,
}

impl Graph {
    fn of(config: &Config) -> Self {
        let mut graph = Self::default();
        for (name, pipeline) in &config.pipelines.value {
            let reader = graph.node(Kind::Pipeline, lines_of(name, pipeline));
            let topic = graph.topic(&pipeline.topic.value.0);
            graph.edge(topic, reader, None, Way::Main);
            for (output, storages) in &pipeline.outputs.value {
                for storage in storages {
                    let storage = graph.storage(config, &storage.value.0);
                    graph.edge(reader, storage, Some(output), Way::Main);
                }
            }
            for (what, topic) in pipeline.writes() {
                let topic = graph.topic(topic);
                graph.edge(reader, topic, Some(what), Way::Side);
            }
            if let Some(control) = &config.control {
                let topic = graph.topic(&control.topic.value.0);
                graph.edge(topic, reader, Some("control"), Way::Side);
            }
        }
        graph
    }

    fn node(&mut self, kind: Kind, lines: Vec<String>) -> usize {
        let node = Node { kind, lines };
        self.nodes.iter().position(|other| *other == node).unwrap_or_else(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        })
    }

    fn topic(&mut self, name: &str) -> usize {
        self.node(Kind::Topic, vec![format!("topic {name}")])
    }

    /// With its table, which storages may share.
    fn storage(&mut self, config: &Config, name: &str) -> usize {
        let known = self.nodes.len();
        let storage = self.node(Kind::Storage, vec![format!("storage {name}")]);
        if storage == known {
            let of = &config.storages[name];
            let (cluster, table) = (of.cluster.value.as_str(), of.table.as_str());
            let database = config.clickhouse[cluster].database.as_str();
            let table = if table.contains('.') { table.to_owned() } else { format!("{database}.{table}") };
            let table = self.node(Kind::Table { cluster: cluster.to_owned() }, vec![format!("table {table}")]);
            self.edge(storage, table, None, Way::Main);
        }
        storage
    }

    fn edge(&mut self, from: usize, to: usize, label: Option<&str>, way: Way) {
        self.edges.push(Edge { from, to, label: label.map(str::to_owned), way });
    }

    fn draw(&self, format: Format) -> Vec<String> {
        let (open, close) = match format {
            Format::Mermaid => ("flowchart LR", None),
            Format::Dot => ("digraph tidegate {\n  rankdir=LR;", Some("}")),
        };
        let cluster_of = |node: &Node| match &node.kind {
            Kind::Table { cluster } => Some(cluster.clone()),
            Kind::Topic | Kind::Pipeline | Kind::Storage => None,
        };
        let nodes = |wanted: Option<&String>| {
            let nodes = self.nodes.iter().enumerate().filter(move |(_, node)| cluster_of(node).as_ref() == wanted);
            nodes.map(|(id, node)| format.node(id, node)).collect::<Vec<_>>()
        };
        let mut lines = vec![open.to_owned()];
        lines.extend(nodes(None).into_iter().map(|node| format!("  {node}")));
        let clusters: BTreeSet<String> = self.nodes.iter().filter_map(cluster_of).collect();
        for (id, cluster) in clusters.iter().enumerate() {
            let (open, close) = format.cluster(id, cluster);
            lines.push(format!("  {open}"));
            lines.extend(nodes(Some(cluster)).into_iter().map(|node| format!("    {node}")));
            lines.push(format!("  {close}"));
        }
        lines.extend(self.edges.iter().map(|edge| format!("  {}", format.edge(edge))));
        lines.extend(close.map(str::to_owned));
        lines
    }
}

impl Format {
    fn node(self, id: usize, Node { kind, lines }: &Node) -> String {
        let lines: Vec<String> = lines.iter().map(|line| self.escaped(line)).collect();
        match self {
            Format::Mermaid => {
                let (open, close) = match kind {
                    Kind::Topic => ("([", "])"),
                    Kind::Pipeline => ("[", "]"),
                    Kind::Storage => ("[/", "/]"),
                    Kind::Table { .. } => ("[(", ")]"),
                };
                format!("n{id}{open}\"{}\"{close}", lines.join("<br/>"))
            }
            Format::Dot => {
                let shape = match kind {
                    Kind::Topic => "cds",
                    Kind::Pipeline => "box",
                    Kind::Storage => "parallelogram",
                    Kind::Table { .. } => "cylinder",
                };
                format!("n{id} [shape={shape}, label=\"{}\"];", lines.join("\\n"))
            }
        }
    }

    fn edge(self, Edge { from, to, label, way }: &Edge) -> String {
        let label = label.as_ref().map(|label| self.escaped(label));
        match self {
            Format::Mermaid => {
                let arrow = match way {
                    Way::Main => "-->",
                    Way::Side => "-.->",
                };
                let label = label.map(|label| format!("|\"{label}\"|")).unwrap_or_default();
                format!("n{from} {arrow}{label} n{to}")
            }
            Format::Dot => {
                let style = match way {
                    Way::Main => "solid",
                    Way::Side => "dashed",
                };
                let label = label.map(|label| format!(", label=\"{label}\"")).unwrap_or_default();
                format!("n{from} -> n{to} [style={style}{label}];")
            }
        }
    }

    fn cluster(self, id: usize, name: &str) -> (String, &'static str) {
        let name = self.escaped(name);
        match self {
            Format::Mermaid => (format!("subgraph c{id}[\"cluster {name}\"]"), "end"),
            Format::Dot => (format!("subgraph cluster_{id} {{ label=\"cluster {name}\";"), "}"),
        }
    }

    /// For a text between double quotes.
    fn escaped(self, text: &str) -> String {
        match self {
            Format::Mermaid => {
                let plain = |c: char| c.is_alphanumeric() || " -_.,:/=[]{}()".contains(c);
                let char = |c| if plain(c) { String::from(c) } else { format!("#{};", u32::from(c)) };
                text.chars().map(char).collect()
            }
            Format::Dot => {
                let char = |c: char| match c {
                    '"' => "\\\"".to_owned(),
                    '\\' => "\\\\".to_owned(),
                    // Graphviz reads HTML entities everywhere.
                    '&' => "&amp;".to_owned(),
                    c if c.is_control() => " ".to_owned(),
                    c => c.to_string(),
                };
                text.chars().map(char).collect()
            }
        }
    }
}

fn lines_of(name: &str, pipeline: &Pipeline) -> Vec<String> {
    let mut lines = vec![
        format!("pipeline {name}"),
        format!("group {}", pipeline.group.as_str()),
        format!("module {}", pipeline.module.value.as_str()),
    ];
    lines.extend(pipeline.slice.iter().map(|slice| sliced(&slice.value)));
    lines.extend(pipeline.select.iter().flat_map(|select| selected(&select.value)));
    lines
}

fn sliced(Slice { id, of, key }: &Slice) -> String {
    let key = key.as_ref().map(|key| format!(" by header {}", key.as_str()));
    format!("slice {} of {}{}", id.0, of.0, key.unwrap_or_default())
}

fn selected(Select { header, key, key_prefix }: &Select) -> Vec<String> {
    let one_of = |Values(values): &Values| values.join(", ");
    let mut lines: Vec<_> =
        header.iter().map(|(name, values)| format!("header {} = {}", name.as_str(), one_of(values))).collect();
    lines.extend(key.as_ref().map(|keys| format!("key = {}", one_of(keys))));
    lines.extend(key_prefix.as_ref().map(|prefixes| format!("key = {}…", one_of(prefixes))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_ends_its_quotes() {
        let name = "a\"]; b & <i>\\n|`#35;\nend";
        let mermaid = Format::Mermaid.escaped(name);
        assert_eq!(mermaid, "a#34;]#59; b #38; #60;i#62;#92;n#124;#96;#35;35#59;#10;end");
        assert_eq!(Format::Dot.escaped(name), "a\\\"]; b &amp; <i>\\\\n|`#35; end");
    }
}
