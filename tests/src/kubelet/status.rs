//! What a kubelet says of a pod.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

/// How a pod is.
pub(super) enum Phase {
    /// No host takes it.
    Unschedulable(String),
    /// Its files are being written.
    Creating,
    /// Its container runs.
    Running { is_ready: bool, restarts: i32 },
    /// Its container ended, and is started again.
    Failing { message: String, restarts: i32 },
    /// Its container did what it was for.
    Succeeded(String),
    /// Its container failed, and is not started again.
    Failed { exit_code: i32, message: String },
}

impl Phase {
    /// As a patch of the pod's status.
    pub(super) fn status(&self, pod: &Pod) -> Value {
        let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
        let image = container.and_then(|it| it.image.clone()).unwrap_or_default();
        let (phase, state, is_ready, restarts) = match self {
            Self::Unschedulable(_) => ("Pending", None, false, 0),
            Self::Creating => {
                ("Pending", Some(json!({"waiting": {"reason": "ContainerCreating"}})), false, 0)
            }
            Self::Running { is_ready, restarts } => {
                ("Running", Some(json!({"running": {"startedAt": now()}})), *is_ready, *restarts)
            }
            Self::Failing { message, restarts } => {
                let waiting = json!({"reason": "CrashLoopBackOff", "message": message});
                ("Running", Some(json!({"waiting": waiting})), false, *restarts)
            }
            Self::Succeeded(message) => ("Succeeded", Some(ended(0, message)), false, 0),
            Self::Failed { exit_code, message } => {
                ("Failed", Some(ended(*exit_code, message)), false, 0)
            }
        };
        let containers: Vec<Value> = state
            .into_iter()
            .map(|state| {
                json!({
                    "name": container.map(|it| it.name.clone()),
                    "image": image,
                    "imageID": image,
                    "ready": is_ready,
                    "started": is_ready,
                    "restartCount": restarts,
                    "state": state,
                })
            })
            .collect();
        json!({ "status": {
            "phase": phase,
            "conditions": self.conditions(is_ready),
            "containerStatuses": containers,
        }})
    }

    fn conditions(&self, is_ready: bool) -> Vec<Value> {
        let (is_placed, is_mounted) = match self {
            Self::Unschedulable(_) => (false, false),
            Self::Creating => (true, false),
            _ => (true, true),
        };
        let condition = |type_: &str, holds: bool| json!({ "type": type_, "status": if holds { "True" } else { "False" } });
        let mut placed = condition("PodScheduled", is_placed);
        if let Self::Unschedulable(message) = self {
            placed["reason"] = json!("Unschedulable");
            placed["message"] = json!(message);
        }
        vec![
            placed,
            condition("Initialized", is_placed),
            condition("PodReadyToStartContainers", is_mounted),
            condition("ContainersReady", is_ready),
            condition("Ready", is_ready),
        ]
    }
}

fn ended(exit_code: i32, message: &str) -> Value {
    let reason = if exit_code == 0 { "Completed" } else { "Error" };
    json!({ "terminated": {
        "exitCode": exit_code,
        "reason": reason,
        "message": message,
        "finishedAt": now(),
    }})
}

fn now() -> String {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap().to_string()
}
