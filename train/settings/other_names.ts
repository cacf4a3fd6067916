/**
 * What settings are called elsewhere: in other libraries, in Python, in older versions. Those that older versions of TRL,
 * transformers, PEFT and bitsandbytes had with the same meaning are aliases of the options; here stands what to do
 * instead of the others.
 *
 * @module
 */

/** A name that no option has. */
export interface OtherName {
  /** Whose it is. */
  readonly of: string;
  /** The option that means it. */
  readonly option?: string;
  /** What to do instead, as a sentence. */
  readonly advice?: string;
}

/** Names with the option that means the same. */
const renamed: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "Python's trainers": {
    model: "model_name_or_path",
    train_dataset: "dataset_name",
    compute_loss_func: "loss",
    compute_loss: "loss",
  },
  "older versions of TRL": {
    non_eos_penalty: "missing_eos_penalty",
    penalty_reward_value: "missing_eos_penalty",
    score_clip: "reward_clip_range",
    log_with: "report_to",
    tracker_project_name: "project",
    steps: "total_episodes",
  },
  transformers: {
    fp16_backend: "fp16",
    include_inputs_for_metrics: "include_for_metrics",
    evaluate_during_training: "eval_strategy",
  },
  PEFT: {
    r: "lora_r",
    target_modules: "lora_target_modules",
    exclude_modules: "lora_exclude_modules",
    modules_to_save: "lora_modules_to_save",
    task_type: "lora_task_type",
    target_parameters: "lora_target_parameters",
    bias: "lora_bias",
    peft_lora_r: "lora_r",
    peft_lora_alpha: "lora_alpha",
  },
  axolotl: {
    base_model: "model_name_or_path",
    base_model_config: "model_name_or_path",
    tokenizer_config: "tokenizer_name",
    sequence_len: "max_length",
    micro_batch_size: "per_device_train_batch_size",
    eval_batch_size: "per_device_eval_batch_size",
    num_epochs: "num_train_epochs",
    sample_packing: "packing",
    eval_sample_packing: "eval_packing",
    optimizer: "optim",
    lr_scheduler: "lr_scheduler_type",
    lora_model_dir: "model_name_or_path",
    lr: "learning_rate",
    epochs: "num_train_epochs",
    noisy_embedding_alpha: "neftune_noise_alpha",
    rl_beta: "beta",
    dpo_beta: "beta",
    dpo_label_smoothing: "label_smoothing",
  },
  Unsloth: {
    random_state: "seed",
    use_gradient_checkpointing: "gradient_checkpointing",
    max_lora_rank: "lora_r",
  },
  OpenRLHF: {
    pretrain: "model_name_or_path",
    reward_pretrain: "reward_model_name_or_path",
    ref_pretrain: "ref_model_name_or_path",
    critic_pretrain: "value_model_name_or_path",
    prompt_data: "dataset_name",
    max_len: "max_length",
    prompt_max_len: "max_prompt_length",
    generate_max_len: "max_completion_length",
    micro_train_batch_size: "per_device_train_batch_size",
    train_batch_size: "per_device_train_batch_size",
    rollout_batch_size: "generation_batch_size",
    n_samples_per_prompt: "num_generations",
    max_epochs: "num_train_epochs",
    actor_learning_rate: "learning_rate",
    save_path: "output_dir",
    ckpt_path: "output_dir",
    eps_clip: "epsilon",
    value_clip: "cliprange_value",
    lambd: "lam",
    packing_samples: "packing",
    load_checkpoint: "resume_from_checkpoint",
    max_norm: "max_grad_norm",
    l2: "weight_decay",
    lora_rank: "lora_r",
    num_episodes: "num_train_epochs",
    bsz: "per_device_train_batch_size",
  },
  "LLaMA-Factory": {
    cutoff_len: "max_length",
    lora_target: "lora_target_modules",
    pref_beta: "beta",
    pref_loss: "loss_type",
    adapter_name_or_path: "model_name_or_path",
    export_dir: "output_dir",
    neat_packing: "packing",
    preprocessing_num_workers: "dataset_num_proc",
  },
};

const images = "They train models that draw images; language models are trained here.";
const oneEngine =
  "The sampler and the trainer are one engine here, so there is nothing to set; leave it out.";
const follows =
  "It follows here from per_device_train_batch_size, gradient_accumulation_steps and num_mini_batches; leave it out.";
const internal = "Nothing is padded or masked by such a value here; leave it out.";
const inPython =
  "It takes a Python object. Leave it out; what it would change has settings of its own here.";
const quantised =
  "Weights are held in 4 bit with load_in_4bit, and sums are always in float32 here; leave it out.";
const oneProcess = "Training runs in one process on one device here; leave it out.";

/** Names that nothing here has, with what to do. */
const without: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "older versions of TRL": {
    judge:
      "A judge is a reward here: a function of a module that scores both answers, named with reward_funcs.",
    judges: "A judge is a reward here: a function of a module, named with reward_funcs.",
    tools: "Tools are a column `tools` of the rows here, for the chat template.",
    force_use_ref_model: "A reference that ref_model_name_or_path names always counts here.",
    label_pad_token_id: internal,
    use_logits_to_keep: "Logits are only made of what carries loss here; leave it out.",
    use_num_logits_to_keep: "Logits are only made of what carries loss here; leave it out.",
    base_model_attribute_name: "A model is what its config.json says here; leave it out.",
    model_adapter_name: "A model has one adapter here, and the reference is the model without it.",
    ref_adapter_name:
      "A model has one adapter here, and the reference is the model without it; another one is named with " +
      "ref_model_name_or_path.",
    ref_model_init_kwargs: "The reference is built from its config.json alone; leave it out.",
    gradient_checkpointing_use_reentrant:
      "There is one kind of gradient_checkpointing here; leave it out.",
    vllm_device: oneEngine,
    vllm_dtype: oneEngine,
    vllm_enable_prefix_caching:
      "The answers to a prompt always share its tokens here; leave it out.",
    vllm_sync_frequency: oneEngine,
    gpu_memory_utilization: oneEngine,
    normalize_reward: "Rewards are scaled with scale_rewards (grpo) or whiten_rewards (ppo) here.",
    token_level_kl:
      "rloo has the divergence of whole answers in their rewards; ppo has that of tokens.",
    num_updates: "How long a run is, num_train_epochs, max_steps or total_episodes (ppo) say.",
    use_score_norm: "whiten_rewards scales the rewards of tokens (ppo); grpo has scale_rewards.",
    use_score_scaling: "whiten_rewards scales the rewards of tokens (ppo); grpo has scale_rewards.",
    sanity_check:
      "max_steps, and a split such as train[:100], make a short run; dry_run one of no step.",
    target_kl:
      "A run does not end by its divergence here; adap_kl_ctrl with target holds it (ppo).",
    early_stopping: "A run does not end early here; load_best_model_at_end keeps the best weights.",
    compare_steps: inPython,
    ratio_threshold: "Ratios are clipped with cliprange (ppo) or epsilon (grpo) here.",
    backward_batch_size: follows,
    global_batch_size: follows,
    global_backward_batch_size: follows,
    optimize_cuda_cache: "Memory is planned once and there is no cache to empty; leave it out.",
    optimize_device_cache: "Memory is planned once and there is no cache to empty; leave it out.",
    is_peft_model: "use_peft asks for an adapter.",
    task_name: "run_name names a run.",
    query_dataset: "dataset_name names the prompts.",
    tracker_kwargs: "Trackers are set by report_to, run_name and project.",
    accelerator_kwargs: oneProcess,
    project_kwargs: "output_dir says where everything is written.",
    push_to_hub_if_best_kwargs: "Upload output_dir with the Hub's own client.",
    infinite: "Rows are read as often as num_train_epochs or max_steps say.",
    dataset_name_or_path: "dataset_name names the rows.",
    wandb_entity: "Weights & Biases takes it from the environment: WANDB_ENTITY.",
    wandb_project: "Weights & Biases takes it from the environment: WANDB_PROJECT.",
    train_batch_size:
      "per_device_train_batch_size and gradient_accumulation_steps make the batch of a step.",
    async_reward_computation: "A reward may be an async function here; leave it out.",
    sample_num_steps: images,
    sample_eta: images,
    sample_guidance_scale: images,
    sample_batch_size: images,
    sample_num_batches_per_epoch: images,
    train_cfg: images,
    train_timestep_fraction: images,
    train_adv_clip_max: images,
    per_prompt_stat_tracking: images,
    truncated_backprop_rand: images,
    log_image_freq: images,
  },
  "Python's trainers": {
    eval_dataset:
      "Evaluation rows are a split of dataset_name: a file test.jsonl beside train.jsonl, or a slice with " +
      "dataset_test_split; eval_strategy says when.",
    peft_config: "use_peft, lora_r, lora_alpha and the other lora_ settings say what it holds.",
    quantization_config:
      "load_in_4bit, load_in_8bit, bnb_4bit_quant_type and use_bnb_nested_quant say what it holds.",
    data_collator:
      "Batches are made here as the recipe needs them; completion_only_loss, assistant_only_loss and packing say how.",
    response_template:
      "completion_only_loss and assistant_only_loss say what carries loss, without a text to look for.",
    compute_metrics: inPython,
    callbacks: inPython,
    rollout_func: "rollouts takes answers and rewards from a file.",
    optimizers: "optim, optim_args and lr_scheduler_type say what they are.",
    optimizer_cls_and_kwargs: "optim and optim_args say what it is.",
    preprocess_logits_for_metrics: inPython,
    model_init: "init_from_config begins with random weights.",
    generation_config:
      "generation_kwargs take its settings; generate and chat read a checkpoint's.",
    args: "Every setting is an option of its own, or a key of the file of config.",
  },
  transformers: {
    fp16_opt_level: "Computation is in float32 here; leave it out.",
    fp16_full_eval_backend: "Computation is in float32 here; leave it out.",
    past_index: inPython,
    early_stopping_patience:
      "A run does not end early here; load_best_model_at_end keeps the best weights.",
    mp_parameters: oneProcess,
    sharded_ddp: oneProcess,
    fsdp_min_num_params: oneProcess,
    fsdp_transformer_layer_cls_to_wrap: oneProcess,
    tpu_num_cores: oneProcess,
    tpu_metrics_debug: oneProcess,
    ray_scope: oneProcess,
    ddp_timeout_seconds: oneProcess,
    dispatch_batches: oneProcess,
    split_batches: oneProcess,
    torchdynamo: "Steps are always compiled here; leave it out.",
    jit_mode_eval: "Steps are always compiled here; leave it out.",
    use_ipex:
      "The CPU device is generated WebAssembly, with OpenBLAS where there is one; leave it out.",
    use_auth_token: "A token is taken from HF_TOKEN, or from where the Hub's client stored it.",
    token: "A token is taken from HF_TOKEN, or from where the Hub's client stored it.",
    cache_dir: "HF_HOME says where files of the Hub are kept.",
    low_cpu_mem_usage: "Weights are read one by one in any case; leave it out.",
    use_fast_tokenizer: "There is one kind of tokenizer here, the fast one; leave it out.",
    device_map: "device says where to compute.",
    max_memory: "dry_run says what memory a run takes, and what lowers it.",
  },
  PEFT: {
    fan_in_fan_out: "How a family stores its layers is known here; leave it out.",
    layers_to_transform: "lora_target_modules takes a regular expression, which can name layers.",
    layers_pattern: "lora_target_modules takes a regular expression, which can name layers.",
    rank_pattern: "All layers have one rank here, lora_r.",
    alpha_pattern: "All layers have one scale here, lora_alpha.",
    loftq_config: "init_lora_weights has pissa and olora, not LoftQ.",
    peft_type: "use_peft is LoRA here; use_dora and use_rslora are its variants.",
    lora_layers: "lora_target_modules takes a regular expression, which can name layers.",
    trainable_token_indices:
      "Single rows of embeddings are not trained here; lora_modules_to_save takes them whole.",
    num_virtual_tokens: "Adapters are LoRA's here; soft prompts are not in this version.",
  },
  bitsandbytes: {
    bnb_4bit_compute_dtype: quantised,
    llm_int8_threshold: quantised,
    llm_int8_skip_modules: quantised,
    llm_int8_has_fp16_weight: quantised,
    llm_int8_enable_fp32_cpu_offload: quantised,
  },
  axolotl: {
    train_on_inputs: "completion_only_loss false puts loss on prompts too.",
    val_set_size:
      "dataset_train_split 'train[:95%]' and dataset_test_split 'train[95%:]' hold rows out.",
    adapter: "use_peft asks for LoRA; load_in_4bit beside it makes it QLoRA.",
    lora_target_linear: "lora_target_modules all-linear says it.",
    dataset_prepared_path: "Prepared rows are kept by themselves, under XDG_CACHE_HOME.",
    chat_template:
      "chat_template_path takes a .jinja file, or a checkpoint whose template is taken.",
    special_tokens: "eos_token and pad_token name them.",
    tokens: "The tokenizer's files say which tokens there are.",
    flash_attention: "There is one attention here, exact and block-wise; leave it out.",
    xformers_attention: "There is one attention here, exact and block-wise; leave it out.",
    sdp_attention: "There is one attention here, exact and block-wise; leave it out.",
    evals_per_epoch:
      "eval_strategy and eval_steps say it; below 1 eval_steps is a share of all steps.",
    saves_per_epoch:
      "save_strategy and save_steps say it; below 1 save_steps is a share of all steps.",
    eval_table_size: "log_completions shows answers.",
    pad_to_sequence_len: "Nothing is padded here; leave it out.",
    model_type: "A model is what its config.json says here; leave it out.",
    tokenizer_type: "A tokenizer is what its files say here; leave it out.",
    group_by_length_batches: "train_sampling_strategy group_by_length says it.",
    rl: "Each way to train is a command here: dpo, kto, orpo, grpo, ….",
    is_llama_derived_model: "A model is what its config.json says here; leave it out.",
    strict: "An unknown setting is always an error here; leave it out.",
    debug_examples: "show_data prints prepared rows.",
  },
  Unsloth: {
    load_in_16bit: "dtype says how frozen weights are held; what is trained is held in float32.",
    full_finetuning: "Without use_peft all weights are trained; leave it out.",
    fast_inference: oneEngine,
    save_method: "merge folds an adapter into its base; save_dtype says the type.",
    unsloth_num_chunks: "The output head is always chunked here; leave it out.",
  },
  OpenRLHF: {
    dataset: "dataset_name names the rows.",
    input_key:
      "Rows have the columns prompt, completion, chosen, rejected or messages here: rename the column.",
    output_key:
      "Rows have the columns prompt, completion, chosen, rejected or messages here: rename the column.",
    chosen_key: "Rows have the columns chosen and rejected here: rename the column.",
    rejected_key: "Rows have the columns chosen and rejected here: rename the column.",
    label_key:
      "Rows have the column solution, or any that a reward reads, here: rename the column.",
    apply_chat_template: "Messages always go through the chat template here; leave it out.",
    input_template: "Rows have the whole prompt here; messages go through the chat template.",
    zero_stage: oneProcess,
    adam_offload: oneProcess,
    flash_attn: "There is one attention here, exact and block-wise; leave it out.",
    micro_rollout_batch_size: oneEngine,
    advantage_estimator: "grpo, rloo and ppo are commands here.",
    critic_learning_rate: "The value function learns with learning_rate here, as in TRL.",
    freezing_actor_steps: "Policy and value function learn from the first step on here.",
    remote_rm_url: "A reward is a function of a module here, which may ask a server: reward_funcs.",
    use_wandb: "report_to says where rows go.",
    aux_loss_coef: "router_aux_loss_coef is its name, and no family of this version has experts.",
    save_hf_ckpt: "Checkpoints are always in the Hugging Face layout; leave it out.",
    colocate_all_models: oneEngine,
  },
  "LLaMA-Factory": {
    template: "chat_template_path takes a .jinja file, or a checkpoint whose template is taken.",
    max_samples: "dataset_train_split 'train[:1000]' takes the first rows.",
    stage: "Each way to train is a command here: sft, reward, ppo, dpo, kto, ….",
    finetuning_type: "use_peft asks for LoRA; without it all weights are trained.",
    dataset_dir: "dataset_name takes the path of a file or a directory.",
    quantization_bit: "load_in_4bit or load_in_8bit.",
    quantization_method: "load_in_4bit or load_in_8bit.",
    val_size:
      "dataset_train_split 'train[:95%]' and dataset_test_split 'train[95%:]' hold rows out.",
    plot_loss: "report_to jsonl writes the rows to log.jsonl.",
    overwrite_cache:
      "Prepared rows are known by what is in them, so that none are out of date; leave it out.",
    mask_history: "assistant_only_loss says what of a conversation carries loss.",
    train_on_prompt: "completion_only_loss false puts loss on prompts too.",
    flash_attn_type: "There is one attention here, exact and block-wise; leave it out.",
    use_unsloth: "There is one engine here; leave it out.",
    export_size: "Shards have the size that transformers gives them; leave it out.",
  },
};

/** Every such name. */
export const otherNames: ReadonlyMap<string, OtherName> = new Map<string, OtherName>(
  [
    ...Object.entries(without).flatMap(([of, names]) =>
      Object.entries(names).map(([name, advice]) => [name, { of, advice }] as const)
    ),
    ...Object.entries(renamed).flatMap(([of, names]) =>
      Object.entries(names).map(([name, option]) => [name, { of, option }] as const)
    ),
  ],
);
