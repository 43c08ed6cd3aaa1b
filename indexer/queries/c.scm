; C, and the part of C++ that is C. Variables inside functions become locals (tags.py).

(function_definition) @def.function
(function_definition declarator: (function_declarator declarator: (identifier) @name.function))
(function_definition
  declarator: (pointer_declarator declarator: (function_declarator declarator: (identifier) @name.function)))
(function_definition
  declarator: (pointer_declarator
    declarator: (pointer_declarator declarator: (function_declarator declarator: (identifier) @name.function))))
(function_definition
  declarator: (function_declarator
    declarator: (parenthesized_declarator
      (pointer_declarator declarator: (function_declarator declarator: (identifier) @name.function)))))

(struct_specifier name: (type_identifier) @name.struct body: (_)) @def.struct
(union_specifier name: (type_identifier) @name.struct body: (_)) @def.struct
(enum_specifier name: (type_identifier) @name.enum body: (_)) @def.enum
(enumerator name: (identifier) @name.constant) @def.constant

(type_definition) @def.type
(type_definition
  declarator: [
    (type_identifier) @name.type
    (_ (type_identifier) @name.type)
    (_ (_ (type_identifier) @name.type))
    (_ (_ (_ (type_identifier) @name.type)))
  ])

(field_declaration) @def.field
(field_declaration
  declarator: [
    (field_identifier) @name.field
    (_ declarator: (field_identifier) @name.field)
    (_ declarator: (_ declarator: (field_identifier) @name.field))
    (_ declarator: (_ declarator: (_ declarator: (field_identifier) @name.field)))
    (_ declarator: (_ declarator: (parenthesized_declarator (_ declarator: (field_identifier) @name.field))))
    (_ declarator: (parenthesized_declarator (_ declarator: (field_identifier) @name.field)))
  ])

(preproc_def name: (identifier) @name.macro) @def.macro
(preproc_function_def name: (identifier) @name.macro) @def.macro

(declaration) @def.variable
(declaration
  declarator: [
    (identifier) @name.variable
    (init_declarator declarator: (identifier) @name.variable)
    (init_declarator declarator: (_ declarator: (identifier) @name.variable))
    (init_declarator declarator: (_ declarator: (_ declarator: (identifier) @name.variable)))
    (pointer_declarator declarator: (identifier) @name.variable)
    (array_declarator declarator: (identifier) @name.variable)
    (array_declarator declarator: (array_declarator declarator: (identifier) @name.variable))
    (pointer_declarator declarator: (pointer_declarator declarator: (identifier) @name.variable))
    (pointer_declarator declarator: (array_declarator declarator: (identifier) @name.variable))
    (parenthesized_declarator (identifier) @name.variable)
    (function_declarator
      declarator: (parenthesized_declarator (pointer_declarator declarator: (identifier) @name.variable)))
    (init_declarator
      declarator: (function_declarator
        declarator: (parenthesized_declarator (pointer_declarator declarator: (identifier) @name.variable))))
  ])
(declaration (storage_class_specifier "extern") @undef)

(parameter_declaration declarator: (identifier) @local)
(parameter_declaration declarator: (_ declarator: (identifier) @local))
(parameter_declaration declarator: (_ declarator: (_ declarator: (identifier) @local)))
(parameter_declaration
  declarator: (function_declarator
    declarator: (parenthesized_declarator (pointer_declarator declarator: (identifier) @local))))
(preproc_params (identifier) @local)

; What the kernel and others define through macros: DEFINE_MUTEX(lock), SYSCALL_DEFINE3(read, ...).
([(translation_unit (expression_statement
     (call_expression function: (identifier) @_macro
       arguments: (argument_list . (identifier) @name.variable))) @def.variable)
  (preproc_ifdef (expression_statement
     (call_expression function: (identifier) @_macro
       arguments: (argument_list . (identifier) @name.variable))) @def.variable)]
 (#match? @_macro "^(DEFINE|DECLARE)_"))
([(translation_unit (expression_statement
     (call_expression function: (identifier) @_macro
       arguments: (argument_list . (identifier) @name.function))) @def.function)
  (preproc_ifdef (expression_statement
     (call_expression function: (identifier) @_macro
       arguments: (argument_list . (identifier) @name.function))) @def.function)]
 (#match? @_macro "^(COMPAT_)?SYSCALL_DEFINE"))

(preproc_include path: (_) @ref.import)
(call_expression function: (identifier) @ref.call)
(call_expression function: (field_expression field: (field_identifier) @ref.call))
(assignment_expression left: (identifier) @ref.write)
(assignment_expression left: (field_expression field: (field_identifier) @member.write))
(assignment_expression left: (subscript_expression argument: (identifier) @ref.write))
(assignment_expression
  left: (subscript_expression argument: (field_expression field: (field_identifier) @member.write)))
(assignment_expression left: (pointer_expression argument: (identifier) @ref.write))
(update_expression argument: (identifier) @ref.write)
(update_expression argument: (field_expression field: (field_identifier) @member.write))
(field_designator (field_identifier) @member.write)
(declaration declarator: (function_declarator declarator: (identifier) @ref.other))
(declaration
  declarator: (pointer_declarator declarator: (function_declarator declarator: (identifier) @ref.other)))
(type_identifier) @ref.type
(identifier) @ref.read
(field_identifier) @member.read

(comment) @attach
